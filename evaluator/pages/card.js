// The card of a type: events of the last hour, when the last one came, its fields, and links to charts of them.
import {get} from "./api.js";
import {el} from "./dom.js";
import {chartOf, exploreLink, isPlain, shown} from "./fields.js";
import {number} from "./format.js";
import {sparkline} from "./sparkline.js";

const FIELDS = 12;
const UNITS = [[864e5, "day"], [36e5, "hour"], [6e4, "minute"], [1e3, "second"]];
const words = new Intl.RelativeTimeFormat("en", {numeric: "always"});

/** A card; set(details, now) shows what `/1.0/types?details=true` says of the type. */
export function typeCard(type, signal) {
  const line = sparkline();
  const events = el("b"), rate = el("span"), last = el("span", {className: "quiet"});
  const fields = el("ul", {className: "fields"});
  const chart = exploreLink(`sum(${type})`);
  const list = `/?${new URLSearchParams({view: "events", type})}`;
  const heading = el("h2", {}, el("a", {href: chart, textContent: type, title: "Chart how many there are"}));
  const element = el("article", {className: "card"},
    el("header", {}, heading, last),
    el("a", {className: "hour", href: chart, tabIndex: -1}, line.element),
    el("p", {className: "counts"}, el("span", {}, events, " in the last hour"), rate),
    fields,
    el("footer", {}, el("a", {href: chart, textContent: "Chart"}), el("a", {href: list, textContent: "Events"})));
  whenSeen(element, signal, () => showFields(type, fields, signal));
  return {
    element,
    set(details, now) {
      const known = details.counts !== undefined;
      const counted = known ? details.events.toLocaleString("en") : "–";
      events.textContent = counted;
      rate.textContent = details.rate ? `${number(Number(details.rate.toPrecision(2)))} a second` : "";
      last.textContent = details.last ? ago(now - Date.parse(details.last)) : "";
      last.title = details.last ?? "";
      if (known) line.set(details.counts.values, `${counted} events in the last hour`);
    },
  };
}

/** How long ago in words: "3 seconds ago". */
export function ago(milliseconds) {
  if (milliseconds < 1_500) return "just now";
  const [size, unit] = UNITS.find(([size]) => milliseconds >= size);
  return words.format(-Math.floor(milliseconds / size), unit);
}

function whenSeen(element, signal, work) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    work();
  });
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
}

async function showFields(type, list, signal) {
  let found;
  try {
    ({fields: found} = await get("/1.0/fields", {type}, {signal}));
  } catch (error) {
    if (!signal.aborted) list.replaceChildren(el("li", {className: "quiet", textContent: error.message}));
    return;
  }
  const plain = found.filter(isPlain);
  list.replaceChildren(...plain.slice(0, FIELDS).map((field) => el("li", {}, fieldLink(type, field))));
  if (plain.length > FIELDS) list.append(el("li", {className: "quiet", textContent: `and ${plain.length - FIELDS} more`}));
}

function fieldLink(type, field) {
  const expression = chartOf(type, field);
  const examples = field.examples.slice(0, 3).map(shown).join(", ");
  return el("a", {href: exploreLink(expression), textContent: field.field, title: `${expression}\n${field.kinds.join(", ")}: ${examples}`});
}
