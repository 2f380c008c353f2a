// Charts that are text: a big number with its change, and a table.
import {colour} from "./colours.js";
import {drawRow} from "./chart-horizon.js";
import {fit} from "./canvas.js";
import {el} from "./dom.js";
import {length, number, time} from "./format.js";

const MOST_NUMBERS = 24;
const MOST_ROWS = 500;

/** The last value of each series, large, with what it was before: a day or a week ago if compared, else in the mean. */
export class NumberChart {
  constructor(host) {
    this.element = el("div", {className: "numbers"});
    host.replaceChildren(this.element);
  }

  show(set, {before, ago}) {
    const cards = set.shown.slice(0, MOST_NUMBERS).map((series) => {
      const {last, mean} = series.summary;
      const earlier = before ? before.byKey.get(series.key)?.summary.last ?? NaN : mean;
      const change = (last - earlier) / Math.abs(earlier);
      const canvas = el("canvas", {role: "presentation"});
      const name = el("span", {textContent: series.label});
      name.style.borderColor = colour(series.number);
      drawRow(fit(canvas, 240, 28), series.values, set.count, 240, 28);
      return el("div", {className: "number"}, name, el("strong", {textContent: number(last)}),
        el("small", {textContent: `${percent(change)} against ${before ? `${length(ago)} before` : "the mean"}: ${number(earlier)}`}), canvas);
    });
    this.element.replaceChildren(...cards);
  }

  picture() { return null; }

  point() {}

  close() {}
}

function percent(change) {
  if (!Number.isFinite(change)) return "–";
  const text = `${number(Math.round(Math.abs(change) * 1000) / 10)} %`;
  return change > 0 ? `▲ ${text}` : change < 0 ? `▼ ${text}` : text;
}

/** A row for each bucket, the latest first, and a column for each series. */
export class TableChart {
  constructor(host) {
    this.element = el("div", {className: "scroll", tabIndex: 0});
    host.replaceChildren(this.element);
  }

  show(set, {zone}) {
    const series = set.shown;
    const head = el("tr", {}, el("th", {scope: "col", textContent: "Time"}),
      ...series.map(({label}) => el("th", {scope: "col", textContent: label})));
    const rows = [];
    for (let i = set.count - 1; i >= 0 && rows.length < MOST_ROWS; i--) {
      rows.push(el("tr", {}, el("th", {scope: "row", textContent: time(set.start + i * set.step, set.step, zone)}),
        ...series.map(({values}) => el("td", {textContent: number(values[i])}))));
    }
    const table = el("table", {className: "buckets"}, el("thead", {}, head), el("tbody", {}, ...rows));
    const more = set.count - rows.length;
    this.element.replaceChildren(table,
      ...(more > 0 ? [el("p", {className: "quiet", textContent: `${more} earlier buckets: copy them all as CSV.`})] : []));
  }

  picture() { return null; }

  point() {}

  close() {}
}
