// The rows of expressions: a letter, a box with marks where an error is, and the error's sentence below it.
import {colour} from "./colours.js";
import {attachCompletion} from "./complete.js";
import {el} from "./dom.js";
import {letter} from "./query.js";
import {read, write} from "./state.js";

const MOST = 12;
const ADDRESS = {
  texts: () => read().getAll("e"),
  save: (e) => write({e, off: null, view: "explore"}),
};

/** Rows of expressions: those of the address, unless from: {texts(), save(texts), options} says of which else. */
export class Expressions {
  constructor(from = ADDRESS) {
    this.from = from;
    this.list = el("div", {className: "expressions"});
    this.add = el("button", {type: "button", className: "quiet", textContent: "+ Add an expression", onclick: () => this.more()});
    this.element = el("section", {ariaLabel: "Expressions"}, this.list, this.add);
    this.rows = [];
  }

  /** Show what the address holds; a box that is being typed in is left as it is if it says the same. */
  update() {
    const texts = [...this.from.texts()];
    if (!texts.length) texts.push("");
    while (this.rows.length > texts.length) this.rows.pop().element.remove();
    texts.forEach((text, i) => {
      if (!this.rows[i]) this.list.append((this.rows[i] = this.row(i)).element);
      if (this.rows[i].input.value !== text || !this.rows[i].isKnown) {
        this.rows[i].input.value = text;
        this.rows[i].completion.refresh();
      }
      this.rows[i].isKnown = true;
      this.rows[i].remove.hidden = texts.length === 1;
      this.rows[i].badge.style.background = colour(i);
    });
    this.add.hidden = texts.length >= MOST;
  }

  /** Mark where an expression is wrong (lines and columns from 1), and say why; null: nothing is. */
  mark(name, error) {
    const row = this.rows[name.charCodeAt(0) - 65];
    if (!row) return;
    row.error.textContent = error?.message ?? "";
    row.error.hidden = !error;
    row.input.setAttribute("aria-invalid", String(Boolean(error)));
    row.marks.replaceChildren(...(error?.column ? marks(row.input.value, error) : []));
  }

  focus() {
    this.rows[0]?.input.focus({preventScroll: true});
  }

  row(i) {
    const name = letter(i);
    const row = {badge: el("b", {className: "letter", textContent: name, ariaHidden: "true"})};
    row.marks = el("div", {className: "marks", ariaHidden: "true"});
    row.error = el("p", {className: "error", id: `error-${name}`, role: "alert", hidden: true});
    row.input = el("textarea", {
      rows: 1, spellcheck: false, autocapitalize: "off", autocomplete: "off", placeholder: "sum(request)", ariaLabel: `Expression ${name}`,
      onkeydown: (event) => this.key(event), onchange: () => this.run(), oninput: () => this.mark(name, null),
    });
    row.input.setAttribute("aria-describedby", row.error.id);
    row.remove = el("button", {type: "button", className: "icon", textContent: "✕", ariaLabel: `Remove expression ${name}`, onclick: () => this.drop(row)});
    const box = el("div", {className: "box"}, row.marks, row.input);
    row.element = el("div", {className: "expression"}, row.badge, box, row.remove, row.error);
    row.completion = attachCompletion(row.input, {...this.from.options, onChange: ({error}) => error && this.mark(name, error)});
    return row;
  }

  key(event) {
    if (event.defaultPrevented || event.isComposing || event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    this.run();
  }

  /** Put what the boxes say to where it came from. */
  run() {
    const texts = this.rows.map(({input}) => input.value);
    if (texts.join("\n") !== this.from.texts().join("\n")) this.from.save(texts.some(Boolean) ? texts : []);
  }

  more() {
    const texts = this.rows.map(({input}) => input.value);
    this.list.append((this.rows[texts.length] = this.row(texts.length)).element);
    this.rows.forEach(({remove, badge}, i) => {
      remove.hidden = false;
      badge.style.background = colour(i);
    });
    this.add.hidden = this.rows.length >= MOST;
    this.rows.at(-1).input.focus();
  }

  drop(row) {
    const texts = this.rows.filter((one) => one !== row).map(({input}) => input.value);
    this.from.save(texts.filter(Boolean));
    this.update();
  }
}

/** The text of a box with a mark from the error's place to the end of the word there. */
function marks(text, {line = 1, column}) {
  const lines = text.split("\n");
  const shift = [...lines[line - 1] ?? ""].slice(0, column - 1).join("").length; // columns count code points
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + shift;
  const word = /^[\p{L}\p{N}_$]+|^[^]/u.exec(text.slice(before))?.[0] ?? " ";
  return [text.slice(0, before), el("mark", {textContent: word}), text.slice(before + word.length)];
}
