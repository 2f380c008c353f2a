// The controls above a chart: the kind of chart, the span of time, the step, the comparison, live or not.
import {isKind, KINDS, kindOf} from "./chart.js";
import {choice, el, tell} from "./dom.js";
import {isWeeks, stepChoices, stepOf, WEEKDAYS, weekdayChoices, weekOf} from "./grid.js";
import {duration, read, write} from "./state.js";
import {TimeChoices} from "./time-choices.js";

const CHOSEN = [
  ["chart", isKind, KINDS.map(([value]) => value).join(", "), "Lines are shown."],
  ["step", (text) => stepOf(text) !== null, "steps such as 15m, 1h and month", "The automatic one is shown."],
  ["compare", (text) => !Number.isNaN(duration(text)), "times before such as 1d and 7d", "Nothing is compared."],
  ["week", (text) => WEEKDAYS.includes(text), WEEKDAYS.join(", "), "Weeks begin on Monday."],
];
const SCALED = ["line", "area", "stacked", "bars"];

export class Controls {
  constructor() {
    this.kinds = el("div", {className: "segments", role: "radiogroup", ariaLabel: "Kind of chart"}, ...KINDS.map(kind));
    this.element = el("section", {className: "controls", ariaLabel: "How it is shown"});
    this.times = new TimeChoices();
    this.time = el("div", {className: "choices"});
    this.problem = el("p", {className: "problem", role: "alert", hidden: true});
    this.element.append(this.kinds, this.time, this.problem);
  }

  update() {
    const query = read();
    for (const input of this.kinds.querySelectorAll("input")) input.checked = input.value === kindOf(query);
    this.reveal();
    this.time.replaceChildren(
      ...this.times.span(),
      choice("Step", stepChoices(query.get("step")), String(stepOf(query.get("step")) ?? ""),
        (step) => write({step})),
      ...(isWeeks(stepOf(query.get("step"))) ? [weeks(query)] : []),
      choice("Compare", [["", "Nothing"], ["1d", "A day before"], ["7d", "A week before"]], query.get("compare") ?? "",
        (compare) => write({compare})),
      ...(SCALED.includes(kindOf(query)) && query.getAll("e").length > 1 ? [scale(query)] : []),
      this.times.clock(),
      this.times.live());
    tell(this.problem, [this.times.problem(), ...wrongs(query)]);
  }

  /** On a phone the kinds are wider than the screen: have the chosen one in sight. */
  reveal() {
    const chosen = this.kinds.querySelector(":checked")?.parentElement;
    if (chosen) this.kinds.scrollLeft = chosen.offsetLeft - (this.kinds.clientWidth - chosen.offsetWidth) / 2;
  }
}

/** What the address says that cannot be shown, in words, and what is shown in its place. */
function wrongs(query) {
  return CHOSEN.flatMap(([name, isKnown, accepted, instead]) => {
    const text = query.get(name);
    return text && !isKnown(text) ? [`The address says ${name}=${text}; accepted are ${accepted}. ${instead}`] : [];
  });
}

function weeks(query) {
  return choice("Weeks from", weekdayChoices(), weekOf(query.get("week"), stepOf(query.get("step"))) ?? "", (week) => write({week}));
}

function scale(query) {
  return choice("Scale", [["", "Automatic"], ["one", "One for all"], ["each", "One for each"]], query.get("scale") ?? "",
    (chosen) => write({scale: chosen}));
}

function kind([value, text]) {
  const input = el("input", {type: "radio", name: "chart", value, onchange: () => write({chart: value === "line" ? null : value})});
  return el("label", {}, input, el("span", {textContent: text}));
}
