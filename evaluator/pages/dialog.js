// Dialogs: a question with a few answers, and forms in a window of their own.
import {el} from "./dom.js";

/** Ask with a modal dialog: a title, elements or texts, and actions [[value, text, className]]. Answers with the value
 * of the action, "" where the dialog was closed otherwise. isChanged(): whether closing it would lose something. */
export function ask(title, content, actions, {className = "", isChanged = () => false} = {}) {
  const heading = el("h2", {textContent: title, id: `dialog-${++ask.count}`});
  const warning = el("p", {className: "warning", role: "alert", hidden: true});
  const form = el("form", {method: "dialog"}, heading, el("div", {className: "content"}, ...content), warning, el("div", {className: "actions"}, ...actions.map(button)));
  const dialog = el("dialog", {className}, form);
  dialog.setAttribute("aria-labelledby", heading.id);
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog || !isChanged() || !warning.hidden) return;
    event.preventDefault();
    warning.textContent = "What you changed here is not taken over yet. Press Escape again to drop it.";
    warning.hidden = false;
  });
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
ask.count = 0;

/** A label above a control. */
export function field(label, control, hint) {
  return el("label", {className: "field"}, el("span", {textContent: label}), control, hint ? el("small", {className: "quiet", textContent: hint}) : null);
}

/** What only closes is no answer of the form: Enter in a field gives the first that is. */
function button([value, textContent, className]) {
  if (value) return el("button", {value, textContent, className});
  return el("button", {type: "button", textContent, className, onclick: ({target}) => target.closest("dialog").close("")});
}
