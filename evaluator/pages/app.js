// The page's frame: which view the address asks for, and its title. Each view is a module of its own.
import {startView} from "./start.js";

const VIEWS = {start: startView};

function show() {
  const name = new URLSearchParams(location.search).get("view") ?? "start";
  const view = VIEWS[name] ?? VIEWS.start;
  const main = document.getElementById("main");
  main.replaceChildren();
  for (const link of document.querySelectorAll("nav [data-view]")) {
    link.toggleAttribute("aria-current", link.dataset.view === name);
  }
  view(main);
}

addEventListener("popstate", show);
show();
