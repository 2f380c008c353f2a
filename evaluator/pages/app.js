// The page's frame: which view the address asks for, and links between views without loading the page again.
// A view is a function of <main>; it may return {update, close}: update is called when the address has changed.
import {eventsView} from "./events.js";
import {exploreView} from "./explore.js";
import {forgetKey, isShared, key} from "./key.js";
import {startView} from "./start.js";
import {read} from "./state.js";

const VIEWS = {start: startView, explore: exploreView, events: eventsView, boards: late("./boards.js"), board: late("./board.js"), status: late("./status.js")};
const TITLES = {start: "Cube", explore: "Explore – Cube", events: "Events – Cube", boards: "Boards – Cube", board: "Board – Cube", status: "Status – Cube"};
const PLACES = {board: "boards"}; // views that the bar has no link of its own for
const shown = {name: null, view: null};

/** A view that is loaded when it is first looked at: `view` of its module. */
function late(file) {
  return async (main, isWanted) => {
    const {view} = await import(file);
    return isWanted() ? view(main) : null;
  };
}

function show() {
  const asked = isShared() ? "board" : read().get("view") ?? "start";
  const name = Object.hasOwn(VIEWS, asked) ? asked : "start";
  if (name === shown.name && shown.view?.update) return shown.view.update();
  shown.view?.close?.();
  const main = document.getElementById("main");
  main.replaceChildren();
  main.className = name;
  document.title = TITLES[name];
  document.body.classList.toggle("shared", isShared());
  document.querySelector(".brand").inert = isShared();
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === (PLACES[name] ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown.name = name;
  shown.view = null;
  const turn = shown.turn = {};
  const isWanted = () => shown.turn === turn;
  const view = VIEWS[name](main, isWanted);
  if (typeof view?.then !== "function") shown.view = view;
  else view.then((come) => { if (isWanted()) shown.view = come; }, (error) => { if (isWanted()) main.textContent = `This view could not be loaded: ${error.message}`; });
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
