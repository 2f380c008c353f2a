// The controls above a chart: the span of time, the kind of chart, the step, the comparison, live or not.
import {now} from "./api.js";
import {choice, el} from "./dom.js";
import {length} from "./format.js";
import {STEPS} from "./query.js";
import {duration, read, span, write} from "./state.js";

const SPANS = ["5m", "15m", "1h", "3h", "6h", "12h", "1d", "2d", "7d", "30d", "90d", "365d"];
const KINDS = [
  ["line", "Line"], ["area", "Area"], ["stacked", "Stacked"], ["bars", "Bars"], ["horizon", "Horizon"], ["heat", "Heat map"],
  ["number", "Number"], ["table", "Table"],
];

export class Controls {
  constructor() {
    this.kinds = el("div", {className: "segments", role: "radiogroup", ariaLabel: "Kind of chart"}, ...KINDS.map(kind));
    this.element = el("section", {className: "controls", ariaLabel: "How it is shown"});
    this.time = el("div", {className: "choices"});
    this.element.append(this.kinds, this.time);
  }

  update() {
    const query = read();
    const [from, to] = [query.get("from") ?? "-1h", query.get("to") ?? "now"];
    const isPreset = to === "now" && SPANS.includes(from.slice(1));
    for (const input of this.kinds.querySelectorAll("input")) input.checked = input.value === (query.get("chart") ?? "line");
    this.time.replaceChildren(
      choice("Time", [...SPANS.map((text) => [`-${text}`, `Last ${length(duration(text))}`]), ["custom", "From … to …"]],
        isPreset ? from : "custom", (value) => value === "custom" ? this.absolute() : write({from: value, to: null})),
      this.arrows(),
      ...(isPreset ? [] : [this.fields()]),
      choice("Step", [["", "Automatic"], ...STEPS.map((step) => [String(step), length(step)])], query.get("step") ?? "",
        (step) => write({step})),
      choice("Compare", [["", "Nothing"], ["1d", "A day before"], ["7d", "A week before"]], query.get("compare") ?? "",
        (compare) => write({compare})),
      choice("Clock", [["", "Local"], ["utc", "UTC"]], query.get("zone") ?? "", (zone) => write({zone}, {replace: true})),
      this.live(query, to));
  }

  /** Earlier, later, and the double of the span. */
  arrows() {
    const move = (low, high) => () => {
      const {start, stop} = span(now());
      const size = stop - start;
      this.set(start + low * size, stop + high * size);
    };
    const button = (label, text, work) => el("button", {type: "button", className: "icon", ariaLabel: label, title: label, textContent: text, onclick: work});
    return el("div", {className: "arrows"}, button("Earlier", "‹", move(-0.5, -0.5)), button("Zoom out", "−", move(-0.5, 0.5)),
      button("Later", "›", move(0.5, 0.5)));
  }

  /** Show a span; one that would reach into the future ends now. */
  set(start, stop) {
    const over = Math.max(0, stop - now());
    write({from: new Date(start - over).toISOString(), to: new Date(stop - over).toISOString()});
  }

  absolute() {
    const {start, stop} = span(now());
    this.set(start, stop);
  }

  /** Two fields for an absolute span, in the clock's zone. */
  fields() {
    const isUtc = read().get("zone") === "utc";
    const {start, stop} = span(now());
    const text = (time) => new Date(time - (isUtc ? 0 : new Date(time).getTimezoneOffset() * 6e4)).toISOString().slice(0, 19);
    const field = (label, time) => el("input", {type: "datetime-local", step: 1, ariaLabel: label, value: text(time), onchange: () => change()});
    const [from, to] = [field("From", start), field("To", stop)];
    const change = () => {
      const [first, last] = [from, to].map(({value}) => Date.parse(isUtc ? `${value}Z` : value));
      if (first < last) write({from: new Date(first).toISOString(), to: new Date(last).toISOString()});
      to.setCustomValidity(first < last ? "" : "The end is not after the start.");
      to.reportValidity();
    };
    return el("div", {className: "span"}, from, el("span", {textContent: "to"}), to);
  }

  live(query, to) {
    const input = el("input", {type: "checkbox", checked: query.get("live") !== "0" && to === "now", disabled: to !== "now",
      onchange: () => write({live: input.checked ? null : "0"}, {replace: true})});
    return el("label", {className: "live"}, input, el("span", {textContent: "Live"}));
  }
}

function kind([value, text]) {
  const input = el("input", {type: "radio", name: "chart", value, onchange: () => write({chart: value === "line" ? null : value})});
  return el("label", {}, input, el("span", {textContent: text}));
}
