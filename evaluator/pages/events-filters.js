// The filters of the events: as chips that can be turned round and removed, and a form that adds one.
import {get} from "./api.js";
import {el} from "./dom.js";
import {literal, shown} from "./fields.js";
import {read, write} from "./state.js";

const SIGNS = {eq: "=", ne: "≠", ge: "≥", gt: ">", le: "≤", lt: "<", re: "matches"};
const OPPOSITE = {eq: "ne", ne: "eq", ge: "lt", lt: "ge", gt: "le", le: "gt"};
const CALL = /^(eq|ne|ge|gt|le|lt|re)\((.+), ?("(?:[^"\\]|\\.)*"|[^",()[\]]+)\)$/su;
const VALUES = 30;

export class Filters {
  constructor() {
    this.texts = [];
    this.known = new Map();
    this.chips = el("ul", {className: "chips"});
    this.field = el("select", {ariaLabel: "Field", onchange: () => this.offerValues()});
    this.sign = el("select", {ariaLabel: "Comparison"}, ...Object.entries(SIGNS).map(([value, textContent]) => el("option", {value, textContent})));
    this.values = el("datalist", {id: "filter-values"});
    this.value = el("input", {ariaLabel: "Value", placeholder: "value", list: "filter-values", spellcheck: false, autocomplete: "off", onfocus: () => this.offerValues(), oninput: () => this.offerValues()});
    const form = el("form", {className: "add", onsubmit: (event) => { event.preventDefault(); this.add(); }},
      this.field, this.sign, this.value, this.values, el("button", {textContent: "Add filter"}));
    this.element = el("section", {className: "filters", ariaLabel: "Filters"}, this.chips, form);
  }

  /** The filters as an expression has them, each with its dot. */
  text() {
    return this.texts.map((text) => `.${text}`).join("");
  }

  /** Take the fields of the type. */
  offer(fields) {
    this.known = new Map(fields.map((field) => [field.field, field]));
    const chosen = this.field.value;
    this.field.replaceChildren(...fields.map(({field}) => el("option", {value: field, textContent: field})));
    if (this.known.has(chosen)) this.field.value = chosen;
  }

  show(type, texts) {
    Object.assign(this, {type, texts});
    this.chips.replaceChildren(...texts.map((text, index) => this.chip(text, index)));
  }

  chip(text, index) {
    const [, name, field, value] = CALL.exec(text) ?? [];
    const words = name ? `${field} ${SIGNS[name]} ${shown(parsed(value))}` : text;
    const remove = el("button", {type: "button", className: "remove", textContent: "×", title: "Remove this filter", ariaLabel: `Remove the filter ${words}`, onclick: () => this.change(index, null)});
    const turned = OPPOSITE[name] && `${OPPOSITE[name]}(${field},${value})`;
    const label = turned
      ? el("button", {type: "button", textContent: words, title: "Turn round", onclick: () => this.change(index, turned)})
      : el("span", {textContent: words});
    return el("li", {}, label, remove);
  }

  change(index, text) {
    const filters = read().getAll("f");
    filters.splice(index, 1, ...(text ? [text] : []));
    write({f: filters});
  }

  add() {
    const field = this.field.value;
    if (!field) return;
    const filter = `${this.sign.value}(${field},${literal(this.typed(field))})`;
    this.value.value = "";
    const filters = read().getAll("f");
    if (!filters.includes(filter)) write({f: [...filters, filter]});
  }

  /** What was typed, as a value of the kind that the field has. */
  typed(field) {
    const text = this.value.value;
    if (this.sign.value === "re") return text;
    const value = parsed(text.trim());
    const kinds = this.known.get(field)?.kinds ?? [];
    return kinds.includes(kindOf(value)) ? value : text;
  }

  async offerValues() {
    const asked = {type: this.type, field: this.field.value, prefix: this.value.value, limit: VALUES};
    if (!asked.field) return;
    const found = await get("/1.0/values", asked).catch(() => ({values: []})); // only an offer
    if (asked.prefix !== this.value.value || asked.field !== this.field.value) return;
    this.values.replaceChildren(...found.values.map(({value}) => el("option", {value: shown(value)})));
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function kindOf(value) {
  return value === null ? "null" : typeof value;
}
