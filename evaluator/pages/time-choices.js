// What is chosen of the time: the span, whether it moves on by itself, and by which clock it is told.
import {now} from "./api.js";
import {choice, el} from "./dom.js";
import {length, offsetOf} from "./format.js";
import {zoneOf} from "./grid.js";
import {addressProblems, duration, read, span, spanProblem, write} from "./state.js";

export const SPANS = ["5m", "15m", "1h", "3h", "6h", "12h", "1d", "2d", "7d", "30d", "90d", "365d"];

/** What to choose a clock from: whoever looks has one, and each zone. */
export function zoneChoices(chosen, local = "Local") {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = [...new Set([chosen, own, ...Intl.supportedValuesOf("timeZone")])].filter((zone) => zoneOf(zone));
  return [["", local], ["utc", "UTC"], ...zones.map((zone) => [zone, zone])];
}

/** Controls of the address's time; usual(): the span where it names none, such as "1h"; usualZone(): the clock. */
export class TimeChoices {
  constructor(usual = () => "1h", usualZone = () => "") {
    this.usual = usual;
    this.usualZone = usualZone;
  }

  /** The choice of a span, and fields for one that is none of the usual. */
  span() {
    const query = read();
    const [from, to] = [query.get("from") ?? `-${this.usual()}`, query.get("to") ?? "now"];
    const spans = SPANS.includes(this.usual()) ? SPANS : [this.usual(), ...SPANS];
    const preset = to === "now" && from.startsWith("-") && spans.find((text) => duration(text) === duration(from.slice(1)));
    return [
      choice("Time", [...spans.map((text) => [`-${text}`, `Last ${length(duration(text))}`]), ["custom", "From … to …"]],
        preset ? `-${preset}` : "custom", (value) => value === "custom" ? this.absolute() : write({from: value, to: null})),
      this.arrows(),
      ...(preset ? [] : [this.fields()]),
    ];
  }

  /** Whose times are shown; by the clocks of a zone that is named buckets begin, too. */
  clock() {
    const chosen = read().get("zone") ?? "";
    return choice("Clock", zoneChoices(chosen, this.usualZone() || "Local"), chosen, (zone) => write({zone}, {replace: true}));
  }

  /** Earlier, later, and the double of the span. */
  arrows() {
    const move = (low, high) => () => {
      const {start, stop} = this.now();
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
    const {start, stop} = this.now();
    this.set(start, stop);
  }

  /** Two fields for an absolute span, in the clock's zone. */
  fields() {
    const zone = read().get("zone") ?? this.usualZone();
    const {start, stop} = this.now();
    const text = (time) => new Date(time + offsetOf(time, zone)).toISOString().slice(0, 19);
    const told = (value) => {
      const wall = Date.parse(`${value}Z`);
      return wall - offsetOf(wall - offsetOf(wall, zone), zone);
    };
    const field = (label, time) => el("input", {type: "datetime-local", step: 1, ariaLabel: label, value: text(time), onchange: () => change()});
    const [from, to] = [field("From", start), field("To", stop)];
    const change = () => {
      const [first, last] = [from, to].map(({value}) => told(value));
      if (first < last) write({from: new Date(first).toISOString(), to: new Date(last).toISOString()});
      to.setCustomValidity(first < last ? "" : "The end is not after the start.");
      to.reportValidity();
    };
    return el("div", {className: "span"}, from, el("span", {textContent: "to"}), to);
  }

  /** Whether new values come by themselves: only while the span ends now. */
  live() {
    const query = read();
    const to = query.get("to") ?? "now";
    const input = el("input", {type: "checkbox", checked: query.get("live") !== "0" && to === "now", disabled: to !== "now",
      onchange: () => write({live: input.checked ? null : "0"}, {replace: true})});
    return el("label", {className: "live"}, input, el("span", {textContent: "Live"}));
  }

  /** What is wrong with the span, or said by the address and not known, in words; "" where nothing is. */
  problem() {
    return [spanProblem(now(), this.asked()), ...addressProblems()].filter(Boolean).join(" ");
  }

  now() {
    return span(now(), this.asked());
  }

  asked() {
    const query = read();
    if (!query.has("from")) query.set("from", `-${this.usual()}`);
    return query;
  }
}
