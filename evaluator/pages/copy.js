// Texts to copy: a command with a button beside it.
import {el, say} from "./dom.js";

/** Copy a text; where the browser forbids it (no TLS, not this machine), select the element that shows it. */
export async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    if (element) getSelection().selectAllChildren(element);
    say("Press Ctrl-C to copy.");
  }
}

/** A command, shown as text, with a button that copies it; label: what it is, for who does not see it. */
export function command(text, label) {
  const code = el("code", {textContent: text});
  const button = el("button", {type: "button", textContent: "Copy", onclick: () => copy(code.textContent, code)});
  button.setAttribute("aria-label", `Copy: ${label}`);
  const element = el("div", {className: "command"}, el("pre", {tabIndex: 0}, code), button);
  return {element, set: (changed) => { code.textContent = changed; }};
}
