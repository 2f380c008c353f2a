// Charts that are text: a big number with its change, and a table.
import {colour} from "./colours.js";
import {drawBands} from "./bands.js";
import {fit} from "./canvas.js";
import {el} from "./dom.js";
import {length, number, percent, time} from "./format.js";

const MOST_NUMBERS = 24;
const MOST_ROWS = 500;

/** The last value of each series, large, with what it was before: a day or a week ago if compared, else in the mean. */
export class NumberChart {
  constructor(host, kind, {pick = () => {}} = {}) {
    Object.assign(this, {onPick: pick, set: null, cards: new Map()});
    this.element = el("div", {className: "numbers"});
    host.replaceChildren(this.element);
  }

  show(set, {before, ago}) {
    if (set !== this.set) this.cards.clear();
    this.set = set;
    const shown = set.shown.slice(0, MOST_NUMBERS).map((series) => {
      if (!this.cards.has(series.key)) this.cards.set(series.key, this.card(series));
      const {last, mean} = series.summary;
      const earlier = before ? before.byKey.get(series.key)?.summary.last ?? NaN : mean;
      const card = this.cards.get(series.key);
      card.value.textContent = number(last);
      card.change.textContent = `${percent((last - earlier) / Math.abs(earlier))} against ${before ? `${length(ago)} before` : "the mean"}: ${number(earlier)}`;
      card.name.style.borderColor = colour(series.number);
      drawBands(fit(card.canvas, 240, 28), 0, card.canvas, series.values, set);
      return card.element;
    });
    const isSame = shown.length === this.element.children.length && shown.every((element, i) => element === this.element.children[i]);
    if (!isSame) this.element.replaceChildren(...shown); // what has the focus stays where it is
  }

  card(series) {
    const name = el("span", {textContent: series.label});
    const value = el("button", {type: "button", title: "The events behind it", onclick: (event) => this.pick(series, event)});
    const change = el("small");
    const canvas = el("canvas", {role: "presentation"});
    return {name, value, change, canvas, element: el("div", {className: "number"}, name, el("strong", {}, value), change, canvas)};
  }

  /** Tell that the last value was picked. */
  pick(series, event) {
    let index = this.set.count - 1;
    while (index > 0 && Number.isNaN(series.values[index])) index--;
    this.onPick(index, series, placeOf(event));
  }

  picture() { return null; }

  point() {}

  close() {}
}

function placeOf(event) {
  const {left, bottom} = event.target.getBoundingClientRect();
  return {x: left, y: bottom + 2, event};
}

/** A row for each bucket, the latest first, and a column for each series. */
export class TableChart {
  constructor(host, kind, {pick = () => {}} = {}) {
    this.onPick = pick;
    this.element = el("div", {className: "scroll", tabIndex: 0, onclick: (event) => this.pick(event)});
    host.replaceChildren(this.element);
  }

  show(set, {zone}) {
    const series = set.shown;
    this.set = set;
    const head = el("tr", {}, el("th", {scope: "col", textContent: "Time"}),
      ...series.map(({label}) => el("th", {scope: "col", textContent: label})));
    const rows = [];
    for (let i = set.count - 1; i >= 0 && rows.length < MOST_ROWS; i--) {
      const opens = el("button", {type: "button", title: "The events of this bucket", textContent: time(set.edge(i), set.step, zone)});
      rows.push(el("tr", {}, el("th", {scope: "row"}, opens),
        ...series.map(({values}) => el("td", {textContent: number(values[i])}))));
    }
    const table = el("table", {className: "buckets"}, el("thead", {}, head), el("tbody", {}, ...rows));
    const more = set.count - rows.length;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.element.replaceChildren(table,
      ...(more > 0 ? [el("p", {className: "quiet", textContent: `${more} earlier buckets: copy them all as CSV.`})] : []));
    const again = focused && [...table.querySelectorAll("tbody button")].find(({textContent}) => textContent === focused);
    if (again) again.focus({preventScroll: true}); // its row has moved down
  }

  /** Tell that a row's bucket was picked, by its head, or by a value of one series. */
  pick(event) {
    const cell = event.target.closest("tbody td, tbody th button");
    if (!cell) return;
    const row = cell.closest("tr");
    const series = cell.matches("td") ? this.set.shown[cell.cellIndex - 1] : null;
    this.onPick(this.set.count - row.sectionRowIndex - 1, series, placeOf(event));
  }

  picture() { return null; }

  point() {}

  close() {}
}
