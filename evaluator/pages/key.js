// The key of a deployment that has keys: asked for once, kept for this tab's session, and in no address.
import {el} from "./dom.js";

const NAME = "cube.key";
let asking = null;

/** The key, or "". */
export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Forget the key, and begin again. */
export function forgetKey() {
  sessionStorage.removeItem(NAME);
  location.reload();
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
      if (given) sessionStorage.setItem(NAME, given);
      dispatchEvent(new Event("cube:key"));
      dialog.remove();
      resolve(Boolean(given));
    });
  });
}
