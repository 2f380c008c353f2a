// The legend: each series with its value at the crosshair (else the last), least, mean and greatest.
// A click leaves one series alone, or brings all back; with Ctrl (or ⌘) it hides or shows that one.
import {marked} from "./colours.js";
import {el} from "./dom.js";
import {number} from "./format.js";
import {read, write} from "./state.js";

const MOST = 200;

export class Legend {
  constructor() {
    this.body = el("tbody");
    this.value = el("th", {scope: "col", textContent: "Last"});
    const heads = ["Least", "Mean", "Greatest"].map((textContent) => el("th", {scope: "col", className: "more", textContent}));
    const head = el("tr", {}, el("th", {scope: "col", textContent: "Series"}), this.value, ...heads);
    this.rest = el("p", {className: "quiet"});
    this.element = el("div", {className: "legend"}, el("table", {}, el("thead", {}, head), this.body), this.rest);
    this.rows = new Map();
    this.set = null;
  }

  show(set) {
    if (set !== this.set) {
      this.rows.clear();
      this.body.replaceChildren();
    }
    this.set = set;
    const listed = set.list.slice(0, MOST);
    listed.forEach((series, place) => {
      let row = this.rows.get(series.key);
      if (row && row.series !== series) row.element.remove();
      if (row?.series !== series) this.rows.set(series.key, (row = this.row(series)));
      row.mark.style.background = marked(series.number);
      row.element.classList.toggle("off", series.hidden);
      row.button.setAttribute("aria-pressed", String(!series.hidden));
      const {min, mean, max} = series.summary;
      [min, mean, max].forEach((value, i) => { row.cells[i].textContent = number(value); });
      if (this.body.children[place] !== row.element) this.body.insertBefore(row.element, this.body.children[place] ?? null);
    });
    for (const [key, {series, element}] of this.rows) {
      if (listed.includes(series)) continue;
      this.rows.delete(key);
      element.remove();
    }
    const more = set.list.length - listed.length;
    this.rest.textContent = more > 0 ? `and ${more} more series` : "";
    this.at(null);
  }

  /** Show the values of a bucket, or the last (null). */
  at(index) {
    if (!this.set) return;
    this.value.textContent = index === null ? "Last" : "Value";
    for (const {series, last} of this.rows.values()) last.textContent = number(series.values[index ?? this.set.count - 1]);
  }

  row(series) {
    const mark = el("i");
    const button = el("button", {type: "button", title: "Show it alone; with Ctrl: hide it", onclick: (event) => this.toggle(series, event)},
      mark, el("span", {textContent: series.label}));
    const last = el("td");
    const cells = [el("td", {className: "more"}), el("td", {className: "more"}), el("td", {className: "more"})];
    return {series, mark, button, last, cells, element: el("tr", {}, el("td", {}, button), last, ...cells)};
  }

  toggle(series, event) {
    const {list, shown} = this.set;
    if (event.ctrlKey || event.metaKey) series.hidden = !series.hidden;
    else {
      const isAlone = shown.length === 1 && shown[0] === series;
      for (const one of list) one.hidden = !isAlone && one !== series;
    }
    const hidden = list.filter((one) => one.hidden).map(({key}) => key);
    const kept = list.filter((one) => !one.hidden).map(({key}) => key);
    if (hidden.length > kept.length) write({only: kept, off: null}, {replace: true});
    else write({off: hidden, only: null}, {replace: true});
  }
}

/** Hide the series that the address says are hidden. */
export function hide(set) {
  const [off, only] = [new Set(read().getAll("off")), new Set(read().getAll("only"))];
  for (const series of set.list) series.hidden = only.size ? !only.has(series.key) : off.has(series.key);
}
