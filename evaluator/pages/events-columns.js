// Which fields are columns, and in which order: chosen in a menu, moved and hidden at their heads, kept in the address.
import {el} from "./dom.js";
import {chartOf, exploreLink, heatOf, isLiteral, isMeasure, pathOf} from "./fields.js";
import {write} from "./state.js";

const USUAL = 7;
const WORD = /^[\p{L}_][\p{L}\p{N}\p{M}_$]*$/u;

export class Columns {
  constructor() {
    this.chosen = [];
    this.items = el("div", {className: "items"});
    this.begin("");
    this.menu = el("details", {className: "menu columns"}, el("summary", {textContent: "Columns"}), this.items);
    this.menu.addEventListener("keydown", (event) => { if (event.key === "Escape") this.menu.open = false; });
    this.menu.addEventListener("focusout", ({relatedTarget}) => { if (relatedTarget && !this.menu.contains(relatedTarget)) this.menu.open = false; });
  }

  /** Begin with a type, of which no field is known yet. */
  begin(type) {
    Object.assign(this, {type, fields: new Map(), order: null});
  }

  /** Take the order of the fields from the first event that is met, as whoever sent it had them; whether it is news. */
  meet(data) {
    if (this.order) return false;
    this.order = Object.keys(data ?? {});
    if (!this.fields.size) {
      const plain = this.order.filter((name) => WORD.test(name) && isLiteral(data[name]));
      this.fields = new Map(plain.map((field) => [field, {field, kinds: [typeof data[field]], examples: []}]));
    }
    this.fill();
    return true;
  }

  /** Take the fields that there are, as the catalog tells them. */
  offer(fields) {
    this.fields = new Map(fields.map((field) => [field.field, field]));
    this.fill();
  }

  /** The columns unless others are chosen. */
  usual() {
    const order = this.order ?? [];
    const place = (field) => (order.indexOf(String(pathOf(field)[0])) + order.length + 1) % (order.length + 1);
    return [...this.fields.keys()].sort((a, b) => place(a) - place(b)).slice(0, USUAL);
  }

  /** Take the choice that the address has; none: the usual ones. */
  choose(texts) {
    this.chosen = texts;
    this.fill();
  }

  names() {
    return this.chosen.length ? this.chosen : this.usual();
  }

  /** The columns as {field, path, isNumber}. */
  shown() {
    return this.names().map((field) => ({field, path: pathOf(field), isNumber: this.fields.get(field)?.kinds[0] === "number"}));
  }

  /** The head of a column, with what can be done with it. */
  head({field, isNumber}) {
    const menu = el("div", {className: "items", popover: "auto"}, ...this.actions(field));
    const button = el("button", {type: "button", className: "quiet", textContent: field});
    button.popoverTargetElement = menu;
    menu.addEventListener("toggle", () => {
      const {left, bottom} = button.getBoundingClientRect();
      menu.style.left = `${Math.max(8, Math.min(left, innerWidth - menu.offsetWidth - 8))}px`;
      menu.style.top = `${Math.min(bottom + 2, innerHeight - menu.offsetHeight - 8)}px`;
    });
    return el("th", {scope: "col", className: isNumber ? "figure" : ""}, button, menu);
  }

  actions(field) {
    const names = this.names();
    const index = names.indexOf(field);
    const {type, filters, from, to} = this.linkOf();
    const known = this.fields.get(field);
    const moved = (by) => {
      const changed = names.filter((name) => name !== field);
      changed.splice(index + by, 0, field);
      return changed;
    };
    const act = (textContent, columns, disabled) => el("button", {type: "button", textContent, disabled, onclick: () => write({col: columns})});
    return [
      known ? el("a", {href: exploreLink(chartOf(type, known, filters), {from, to}), textContent: "Chart this field"}) : null,
      known && isMeasure(known) ? el("a", {href: exploreLink(heatOf(type, field, filters), {from, to, chart: "heat"}), textContent: "Heat map of this field"}) : null,
      act("Move left", index > 0 ? moved(-1) : [], index === 0),
      act("Move right", index < names.length - 1 ? moved(1) : [], index === names.length - 1),
      act("Hide", names.filter((name) => name !== field), names.length === 1),
    ];
  }

  fill() {
    const names = this.names();
    const others = [...this.fields.keys()].filter((field) => !names.includes(field)).sort();
    this.items.replaceChildren(...[...names, ...others].map((field) => {
      const box = el("input", {type: "checkbox", checked: names.includes(field)});
      box.addEventListener("change", () => {
        const present = this.names();
        const changed = box.checked ? [...present, field] : present.filter((name) => name !== field);
        if (changed.length) write({col: changed});
        else box.checked = true;
      });
      return el("label", {}, box, el("span", {textContent: field}));
    }));
  }
}
