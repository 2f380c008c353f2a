// The page's frame: which view the address asks for, and links between views without loading the page again.
// A view is a function of <main>; it may return {update, close}: update is called when the address has changed.
import {eventsView} from "./events.js";
import {exploreView} from "./explore.js";
import {forgetKey, key} from "./key.js";
import {startView} from "./start.js";
import {read} from "./state.js";

const VIEWS = {start: startView, explore: exploreView, events: eventsView};
const TITLES = {start: "Cube", explore: "Explore – Cube", events: "Events – Cube"};
const shown = {name: null, view: null};

function show() {
  const asked = read().get("view") ?? "start";
  const name = asked in VIEWS ? asked : "start";
  if (name === shown.name && shown.view?.update) return shown.view.update();
  shown.view?.close?.();
  const main = document.getElementById("main");
  main.replaceChildren();
  main.className = name;
  document.title = TITLES[name];
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown.name = name;
  const view = VIEWS[name](main);
  shown.view = typeof view?.then === "function" ? null : view;
}

/** A click on a link of this page changes the address, and nothing is loaded. */
function follow(event) {
  const link = event.target.closest?.("a[href]");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || link.pathname !== "/" || link.hash) return;
  event.preventDefault();
  if (link.search !== location.search) history.pushState(null, "", link.search || "/");
  show();
  document.getElementById("main").focus({preventScroll: true});
  scrollTo(0, 0);
}

const forget = document.getElementById("forget-key");
const offerToForget = () => { forget.hidden = !key(); };
offerToForget();
addEventListener("cube:key", offerToForget);
forget.addEventListener("click", forgetKey);
document.addEventListener("click", follow);
addEventListener("popstate", show);
addEventListener("cube:state", show);
show();
