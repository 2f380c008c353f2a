// What comes, by type; what is refused, with examples; and what was slow, each with a link to ask it again.
import {now} from "./api.js";
import {ago} from "./card.js";
import {el} from "./dom.js";
import {exploreLink} from "./fields.js";
import {length, number, time} from "./format.js";
import {lengthOf, stepOf} from "./grid.js";
import {sparkline} from "./sparkline.js";
import {keyed, part, table} from "./status-rows.js";

const REASONS = {
  invalid: "not valid", too_large: "too large", unreadable: "not readable", denied: "the key may not", overloaded: "overloaded", stopping: "the collector was stopping",
  too_old: "too old", too_new: "too far ahead", expired: "expired", store: "the store refuses them", unavailable: "the store did not answer", fault: "a fault",
};

export function typeTable() {
  const lines = new Map();
  const rows = table("Events by type", [["what", "Type"], ["line", "Last five minutes"], ["rate", "Events a second"]], ({type}) => type ?? "", ({type, rate, counts}) => {
    if (!lines.has(type)) lines.set(type, {line: sparkline(), link: nameOf(type)});
    const {line, link} = lines.get(type);
    line.set(counts, `${counts.reduce((sum, count) => sum + count, 0).toLocaleString("en")} events in the last five minutes`);
    return {what: link, line: line.element, rate: number(rate)};
  });
  const made = part("Events that come", "No event came in the last five minutes.", rows.element);
  return {
    element: made.element,
    set({types}) {
      rows.set(types);
      made.has(types.length > 0);
    },
  };
}

function nameOf(type) {
  if (type === null) return el("i", {textContent: "other types"});
  return el("a", {href: exploreLink(`sum(${type})`, {from: "-5m"}), textContent: type, title: "Chart how many there are"});
}

export function refusalList() {
  const list = el("ul", {className: "refusals"});
  const made = part("Refused", "Nothing was refused since the daemons started.", list);
  const set = keyed(list, ({reason}) => reason, ({reason}) => {
    const count = el("b"), last = el("span", {className: "quiet"}), examples = el("ul");
    const show = keyed(examples, ({type, message}) => JSON.stringify([type, message]), example);
    return {
      element: el("li", {}, el("h3", {textContent: REASONS[reason] ?? reason}), el("p", {}, count, " ", last), examples),
      set(refusal) {
        count.textContent = `${refusal.events.toLocaleString("en")} event${refusal.events === 1 ? "" : "s"}`;
        last.textContent = `the last ${ago(now() - Date.parse(refusal.last))}`;
        show(refusal.examples);
      },
    };
  });
  return {
    element: made.element,
    set({refusals}) {
      set(refusals);
      made.has(refusals.length > 0);
    },
  };
}

function example({type, message}) {
  const note = el("small");
  return {
    element: el("li", {}, el("span", {textContent: message}), note),
    set({events, last}) {
      note.textContent = [type && `type ${type}`, `${events.toLocaleString("en")} event${events === 1 ? "" : "s"}`, ago(now() - Date.parse(last))].filter(Boolean).join(" · ");
    },
  };
}

export function slowTable() {
  const columns = [["what", "Question"], ["took", "Took"], ["covers", "Span"], ["step", "Step"], ["when", "Asked"]];
  const links = new Map();
  const keyOf = ({expression, time, seconds}) => JSON.stringify([expression, time, seconds]);
  const rows = table("Slow questions", columns, keyOf, (asked) => {
    const key = keyOf(asked);
    if (!links.has(key)) links.set(key, question(asked));
    const took = asked.seconds < 1 ? `${number(Number((asked.seconds * 1000).toPrecision(3)))} ms` : `${number(Number(asked.seconds.toPrecision(3)))} s`;
    const start = Date.parse(asked.start), stop = Date.parse(asked.stop);
    return {
      what: links.get(key),
      took,
      covers: start > 0 ? [el("span", {textContent: length(stop - start)}), el("small", {textContent: `from ${time(start, stepLength(asked.step))}`})]
        : [el("span", {textContent: "from the beginning"}), el("small", {textContent: `to ${time(stop, stepLength(asked.step))}`})],
      step: typeof asked.step === "string" ? asked.step : asked.step ? length(asked.step) : "–",
      when: el("time", {dateTime: asked.time, title: asked.time, textContent: ago(now() - Date.parse(asked.time))}),
    };
  });
  const made = part("Slowest questions of the last hour", "Nothing was asked in the last hour.", rows.element);
  return {
    element: made.element,
    set({slow}) {
      const present = new Set(slow.map(keyOf));
      for (const key of links.keys()) if (!present.has(key)) links.delete(key);
      rows.set(slow);
      made.has(slow.length > 0);
    },
  };
}

function question(asked) {
  const {expression, cut, key, error} = asked;
  const text = cut ? `${expression}…` : expression;
  const link = cut ? el("code", {textContent: text}) : el("a", {href: linkOf(asked), title: "Ask again", textContent: text});
  const notes = [];
  if (error) notes.push(el("small", {className: "sign dead", textContent: error}));
  if (key) notes.push(el("small", {textContent: `asked with the key ${key}`}));
  return [link, ...notes];
}

/** The parameters of a step that the evaluator tells: of "1w from sunday Europe/Berlin" the step, the day and the clock. */
function gridOf(text) {
  const [, step, week, zone] = /^(\S+)(?: from (\S+))?(?: (\S+))?$/.exec(text) ?? [null, text];
  return {step, ...(week ? {week} : {}), ...(zone ? {zone: zone === "UTC" ? "utc" : zone} : {})};
}

function stepLength(step) {
  return lengthOf(stepOf(gridOf(step ?? 6e4).step)) ?? 6e4;
}

/** Where a question can be looked at again: metrics in Explore, events in Events. */
function linkOf({kind, expression, start, stop, step}) {
  if (kind === "metric") return `${exploreLink(expression, {from: start, to: stop})}&${new URLSearchParams(gridOf(step))}`;
  const [head, ...filters] = links(expression);
  return `/?${new URLSearchParams([["view", "events"], ["type", /^\w*/.exec(head)[0]], ["from", start], ["to", stop], ...filters.map((filter) => ["f", filter])])}`;
}

/** The parts of an event expression between the dots outside of brackets and texts: its type, and its filters. */
function links(expression) {
  const parts = [""];
  let depth = 0;
  for (const [token] of expression.replace(/\s+$/, "").matchAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^]/g)) {
    depth += "([".includes(token) ? 1 : ")]".includes(token) ? -1 : 0;
    if (token === "." && depth === 0) parts.push("");
    else parts[parts.length - 1] += token;
  }
  return parts.map((part) => part.trim());
}
