// The variables of a board: a choice for each, of the values that its field has; and their completion in expressions.
import {get} from "./api.js";
import {variables} from "./board-model.js";
import {veiled} from "./board-text.js";
import {ask, field} from "./dialog.js";
import {el, say} from "./dom.js";
import {shown} from "./fields.js";
import {read, write} from "./state.js";

const MOST = 200; // values in a list; others are typed
const PREFIX = "v-"; // of the address's parameters

/** The chosen values, by name: those of the address, else what the board says; null is all. */
export function chosen(board, query = read()) {
  return Object.fromEntries(variables(board).map(({name, value = null}) => [name, fromAddress(query.get(PREFIX + name), value)]));
}

function fromAddress(text, usual) {
  if (text === null) return usual;
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? usual : value;
  } catch {
    return text; // written by hand
  }
}

/** A choice of a variable's value; change(value) is told what is chosen. */
export class VariableChoice {
  constructor(variable, change) {
    Object.assign(this, {variable, change, value: null, values: [], isComplete: true});
    this.select = el("select", {ariaLabel: `Variable ${variable.name}`, onchange: () => this.take()});
    this.element = el("label", {className: "choice variable"}, el("span", {textContent: variable.name}), this.select);
    this.list();
  }

  set(value) {
    this.value = value;
    this.list();
  }

  /** Ask which values there are. */
  async load(signal) {
    const {type, field} = this.variable;
    try {
      const {values, complete, distinct} = await get("/1.0/values", {type, field, limit: MOST}, {signal});
      this.values = values.map(({value}) => value).filter((value) => value !== null);
      this.isComplete = complete && distinct <= values.length;
    } catch (error) {
      if (signal?.aborted) return;
      this.isComplete = false;
      this.select.title = error.message;
    }
    this.list();
  }

  list() {
    const values = this.value === null || this.values.includes(this.value) ? this.values : [this.value, ...this.values];
    this.listed = [null, ...values];
    const options = this.listed.map((value, i) => el("option", {value: String(i), textContent: value === null ? "All" : shown(value) || "(empty)"}));
    if (!this.isComplete) options.push(el("option", {value: "other", textContent: "Another …"}));
    this.select.replaceChildren(...options);
    this.select.value = String(this.listed.indexOf(this.value));
  }

  async take() {
    if (this.select.value !== "other") return this.change(this.listed[Number(this.select.value)]);
    this.select.value = String(this.listed.indexOf(this.value));
    const value = await this.other();
    if (value !== undefined) this.change(value);
  }

  /** Ask for a value that is not listed, with those that begin so as they are typed. */
  async other() {
    const found = el("datalist", {id: `values-of-${this.variable.name}`});
    const known = new Map();
    const input = el("input", {autocomplete: "off", spellcheck: false, oninput: () => offer()});
    input.setAttribute("list", found.id);
    const offer = async () => {
      const {type, field} = this.variable;
      const {values} = await get("/1.0/values", {type, field, prefix: input.value, limit: 20}).catch(() => ({values: []}));
      for (const {value} of values) known.set(shown(value), value);
      found.replaceChildren(...values.map(({value}) => el("option", {value: shown(value)})));
    };
    const answer = await ask(`A value of ${this.variable.name}`, [field("Value", input), found], [["", "Cancel"], ["take", "Take it", "primary"]]);
    if (answer !== "take") return undefined;
    return known.has(input.value) ? known.get(input.value) : input.value;
  }
}

/** The choices of all variables of a board, which the address keeps. */
export class Variables {
  constructor(signal) {
    this.signal = signal;
    this.element = el("div", {className: "choices variables"});
    this.choices = [];
    this.known = "";
  }

  show(board) {
    const listed = variables(board);
    const known = JSON.stringify(listed.map(({name, type, field}) => [name, type, field]));
    if (known !== this.known) this.build(listed);
    this.known = known;
    const values = chosen(board);
    for (const one of this.choices) one.set(values[one.variable.name]);
    this.element.hidden = !listed.length;
  }

  build(listed) {
    this.choices = listed.map((variable) => new VariableChoice(variable, (value) => {
      write({[PREFIX + variable.name]: JSON.stringify(value)});
      say(`${variable.name}: ${value === null ? "all" : shown(value)}.`);
    }));
    this.element.replaceChildren(...this.choices.map(({element}) => element));
    for (const one of this.choices) one.load(this.signal);
  }
}

/** What completion has to know of the variables: see attachCompletion. */
export function completionOf(names) {
  const items = names().map((name) => ({text: `$${name}`, kind: "variable", detail: ""}));
  return {
    veil: (text) => veiled(text, names()),
    own: (text, at, completions) => {
      if (!completions || !items.length) return completions;
      const before = [...text].slice(0, at).join("");
      const begun = /\$[a-z0-9_]*$/.exec(before)?.[0];
      if (begun !== undefined) {
        const rest = /^[a-z0-9_]*/.exec(text.slice(before.length))[0];
        return {start: at - begun.length, stop: at + rest.length, items: items.filter((item) => item.text.startsWith(begun))};
      }
      const isValue = completions.start === at && completions.items.some(({kind}) => kind === "value");
      return isValue ? {...completions, items: [...items, ...completions.items]} : completions;
    },
  };
}
