// Completion of an expression while it is typed, and what it says in words; all of it from GET /1.0/expression.
// The list follows ARIA's combobox pattern: the focus stays in the box, arrows choose, Enter takes, Escape closes.
import {get} from "./api.js";
import {el} from "./dom.js";

const PAUSE = 90; // milliseconds without a key until the server is asked
let lists = 0;

/** Complete what is typed into a box (an input or a textarea), in a list below it, and say it in words below that.
 * onChange gets {error, words}: of an error its message, line, column and position (null: there is none that is
 * worth a mark yet). veil(text): the text to ask about, of the same length, and what words it back (unveil);
 * own(text, at, completions): what is offered in place of the server's completions at a character. Returns {refresh, close}: refresh asks again where the text was changed by other means. */
export function attachCompletion(input, {onChange = () => {}, veil = plain, own = (text, at, completions) => completions} = {}) {
  const completion = new Completion(input, {onChange, veil, own});
  return {refresh: () => completion.ask(false), close: () => completion.end()};
}

class Completion {
  constructor(input, options) {
    this.input = input;
    Object.assign(this, options);
    this.items = [];
    this.active = -1;
    this.told = "";
    this.list = el("ul", {className: "completions", id: `completions-${++lists}`, role: "listbox", ariaLabel: "Completions", hidden: true});
    this.words = el("p", {className: "words", id: `words-${lists}`, hidden: true});
    input.after(this.list);
    this.hints = el("p", {className: "words hint", role: "status", hidden: true});
    input.parentElement.after(this.words, this.hints);
    this.describe();
    this.listening = new AbortController();
    const {signal} = this.listening;
    input.addEventListener("input", () => this.later(), {signal});
    input.addEventListener("keydown", (event) => this.key(event), {signal, capture: true});
    input.addEventListener("blur", () => this.hide(), {signal});
    // A press on the list must not take the focus from the box.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault(), {signal});
  }

  /** A textarea may not be called a combobox, and says the same by the other attributes. */
  describe() {
    const {input, list, words} = this;
    if (input.tagName === "INPUT") input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-haspopup", "listbox");
    input.setAttribute("aria-controls", list.id);
    input.setAttribute("aria-describedby", [input.getAttribute("aria-describedby"), words.id].filter(Boolean).join(" "));
    this.tellOpen();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(true), PAUSE);
  }

  /** Ask what the text is and, where a list is wanted, what may come at the caret. */
  async ask(wantsList) {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = new AbortController();
    const text = this.input.value;
    if (!text.trim() && !wantsList) return this.tell({readings: [], error: null, hints: []});
    const at = wantsList ? points(text.slice(0, this.input.selectionStart)) : undefined;
    try {
      const {text: expression, unveil} = this.veil(text);
      const answer = await get("/1.0/expression", {expression, at}, {signal: this.asking.signal});
      if (this.input.value !== text) return;
      // A variable's value is not known here, so neither is whether it fits.
      this.tell(expression === text ? answer : {...answer, hints: []}, unveil);
      if (wantsList) this.offer(text, this.own(text, at, answer.completions));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.hide();
      this.say(error.message);
    }
  }

  /** Say the text in words, as a metric where it is one: charts show these. An error at the end of what is still
   * being typed is not worth a mark. */
  tell({readings, error, hints}, unveil = String) {
    const reading = readings.find(({kind}) => kind === "metric") ?? readings[0];
    const words = unveil(reading?.explanation ?? "");
    const isBegun = error !== null && error.position !== null && error.position >= points(this.input.value);
    const isTyped = document.activeElement === this.input;
    this.say(error ? "" : words);
    this.told = hints.join(" ");
    this.tellOpen();
    this.onChange({words, error: error && !(isBegun && isTyped) ? {...error, message: unveil(error.error)} : null});
  }

  say(text) {
    this.words.textContent = text;
    this.words.hidden = !text;
    this.told = "";
  }

  offer(text, {start, stop, items}) {
    this.replaced = start === null ? null : [unit(text, start), unit(text, stop)];
    const present = this.replaced ? text.slice(...this.replaced) : "";
    const isWhole = items.some((item) => item.text === present);
    this.items = isWhole && items.length === 1 ? [] : items;
    this.list.replaceChildren(...this.items.map((item, i) => this.option(item, i)));
    this.list.hidden = !this.items.length || document.activeElement !== this.input;
    this.tellOpen();
    // Of what is begun the first is likely meant; where nothing is, or it is whole, Enter runs the expression.
    this.choose(!this.list.hidden && present && !isWhole ? 0 : -1);
  }

  option(item, i) {
    return el(
      "li",
      {id: `${this.list.id}-${i}`, role: "option", ariaSelected: "false", onclick: () => this.take(i)},
      el("span", {textContent: item.text}),
      el("small", {textContent: [item.kind, item.detail].filter(Boolean).join(" · ")}),
    );
  }

  choose(i) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = i;
    const option = this.list.children[i];
    if (!option) return this.input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({block: "nearest"});
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  take(i) {
    const {text} = this.items[i];
    this.input.setSelectionRange(...this.replaced);
    // As if it were typed, so that the browser can undo it, and tells of it; a browser that does not know how replaces it.
    if (!document.execCommand("insertText", false, text)) {
      this.input.setRangeText(text, ...this.replaced, "end");
      this.input.dispatchEvent(new InputEvent("input", {bubbles: true, inputType: "insertReplacementText"}));
    }
    this.hide();
    this.ask(true);
  }

  key(event) {
    if (event.isComposing || event.altKey || event.metaKey) return;
    const isOpen = !this.list.hidden;
    if (event.key === " " && event.ctrlKey) this.ask(true);
    else if (event.ctrlKey) return;
    else if (isOpen && event.key === "ArrowDown") this.choose((this.active + 1) % this.items.length);
    else if (isOpen && event.key === "ArrowUp") this.choose((this.active <= 0 ? this.items.length : this.active) - 1);
    else if (isOpen && event.key === "Enter" && this.active >= 0) this.take(this.active);
    else if (isOpen && event.key === "Escape") this.hide();
    else if (!isOpen && event.key === "ArrowDown" && !this.input.value.slice(this.input.selectionStart).includes("\n")) this.ask(true);
    else return this.pass(event);
    event.preventDefault();
    event.stopPropagation();
  }

  /** Enter runs the expression, and other moves of the caret leave the place that the list is about. */
  pass(event) {
    if (!["Enter", "ArrowLeft", "ArrowRight", "Home", "End", "Tab"].includes(event.key)) return;
    clearTimeout(this.timer);
    this.hide();
  }

  hide() {
    this.list.hidden = true;
    this.choose(-1);
    this.tellOpen();
  }

  /** Hints are for what is whole: while there is something to choose, a name is likely not written to its end. */
  tellOpen() {
    this.hints.textContent = this.list.hidden ? this.told : "";
    this.hints.hidden = !this.hints.textContent;
    if (this.input.tagName === "INPUT") this.input.setAttribute("aria-expanded", String(!this.list.hidden));
  }

  end() {
    this.asking?.abort();
    clearTimeout(this.timer);
    this.listening.abort();
    this.list.remove();
    this.words.remove();
    this.hints.remove();
  }
}

function plain(text) {
  return {text, unveil: String};
}

/** The server counts characters (code points), a browser UTF-16 units. */
function points(text) {
  return [...text].length;
}

function unit(text, point) {
  return [...text].slice(0, point).join("").length;
}
