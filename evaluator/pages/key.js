// The key of a deployment that has keys: asked for once, kept for this tab's session, and in no address.
// A link to a board for somebody else brings its own in the fragment, which no request holds; it is taken out at once.
import {el} from "./dom.js";

const NAME = "cube.key";
const SHARED = "cube.key.shared"; // apart, so that such a link never takes the place of one's own key
let asking = null;

takeFromAddress();
addEventListener("hashchange", () => takeFromAddress() && location.reload());

/** Whether the address is that of a board for somebody else, which shows nothing but that board. */
export function isShared() {
  return new URLSearchParams(location.search).has("shared");
}

/** The key, or "". */
export function key() {
  return sessionStorage.getItem(place()) ?? "";
}

/** Forget the key, and begin again. */
export function forgetKey() {
  sessionStorage.removeItem(place());
  location.reload();
}

function place() {
  return isShared() ? SHARED : NAME;
}

function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given === null) return false;
  const query = new URLSearchParams(location.search);
  const isOfBoard = query.get("view") === "board";
  if (isOfBoard) query.set("shared", "1");
  history.replaceState(history.state, "", `${location.pathname}?${query}`);
  if (given && isOfBoard) sessionStorage.setItem(SHARED, given);
  return true;
}

/** Ask for a key, and say why the one before was refused; whether one was given. Many that ask at once share one question. */
export function askForKey(reason) {
  asking ??= ask(reason).finally(() => { asking = null; });
  return asking;
}

function ask(reason) {
  const input = el("input", {type: "password", autocomplete: "off", required: true, spellcheck: false});
  const dialog = el("dialog", {className: "key"},
    el("form", {method: "dialog"},
      el("h2", {textContent: "A key, please"}),
      el("p", {textContent: key() ? reason : "This evaluator answers only with a key."}),
      el("label", {}, "Key of scope “read”", input),
      el("p", {className: "quiet", textContent: "It stays in this tab, and is sent to this evaluator only."}),
      el("div", {className: "actions"},
        el("button", {type: "button", textContent: "Cancel", onclick: () => dialog.close("")}),
        el("button", {className: "primary", textContent: "Continue", value: "given"}))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "given" ? input.value.trim() : "";
      if (given) sessionStorage.setItem(place(), given);
      dispatchEvent(new Event("cube:key"));
      dialog.remove();
      resolve(Boolean(given));
    });
  });
}
