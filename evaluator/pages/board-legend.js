// The legend of a chart of a board, in a line or two: each series with its value at the crosshair, else the last.
import {marked} from "./colours.js";
import {el} from "./dom.js";
import {number} from "./format.js";

const MOST = 12;

export class PanelLegend {
  constructor() {
    this.element = el("ul", {className: "panel-legend"});
    this.rows = [];
    this.index = null;
  }

  show(set) {
    const listed = set.list.slice(0, MOST);
    if (this.set !== set || this.rows.length !== listed.length) this.build(set, listed);
    for (const {mark, series} of this.rows) mark.style.background = marked(series.number);
    this.at(this.index);
  }

  build(set, listed) {
    this.set = set;
    this.rows = listed.map((series) => {
      const row = {series, mark: el("i"), value: el("b")};
      row.element = el("li", {}, row.mark, el("span", {textContent: series.label, title: series.label}), row.value);
      return row;
    });
    const more = set.list.length - listed.length;
    this.element.replaceChildren(...this.rows.map(({element}) => element),
      ...(more > 0 ? [el("li", {className: "quiet", textContent: `and ${more} more`})] : []));
  }

  /** Show the values of a bucket, or the last (null). */
  at(index) {
    this.index = index;
    for (const {series, value} of this.rows) {
      const text = number(series.values[Math.min(index ?? Infinity, this.set.count - 1)]);
      if (value.textContent !== text) value.textContent = text;
    }
  }
}
