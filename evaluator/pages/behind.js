// The events behind a point of a chart: those of its bucket, of its expression's types and filters, and of its group.
import {bounds} from "./bins.js";
import {el, say} from "./dom.js";
import {literal} from "./fields.js";
import {time} from "./format.js";
import {reductionsOf} from "./readings.js";
import {changed} from "./state.js";

const MOST_GROUPS = 12;

/** What there is behind a bucket: [{words, href}], each different one once.
 * series: the one that is meant; null: all that are shown, and after them the groups with the greatest values. */
export async function eventsBehind(set, index, series) {
  const letters = new Set((series ? [series] : set.shown).map(({letter}) => letter));
  const reductions = new Map(await Promise.all([...letters].map(async (name) => [name, await reductionsOf(set.expressions[name])])));
  const from = set.edge(index);
  const groups = series ? [series] : [...[...letters].map((letter) => ({letter})), ...greatest(set, index)];
  const found = new Map();
  for (const meant of groups) {
    for (const one of reductions.get(meant.letter)) {
      const {words, filters} = narrowed(one, meant, set, widest(reductions.get(meant.letter)));
      found.set(words, {words, href: eventsLink(one.type, filters, from, set.edge(index + 1))});
    }
  }
  return [...found.values()];
}

/** Open the events behind a bucket, or offer those that there are where they are several, in a menu at a place of the
 * window {x, y, event}. A finger touches a chart to read it, too: then even one is only offered. */
export async function openEvents(set, index, series, {x, y, event}, zone = "") {
  const from = set.edge(index);
  const options = await eventsBehind(set, index, series).catch((error) => say(error.message));
  await new Promise((resolve) => setTimeout(resolve)); // the end of a click closes what is open
  if (!options) return;
  if (!options.length) say("There is no list of events for this: the expression is a constant, or looks at several events of a key.");
  else if (options.length === 1 && event?.pointerType !== "touch") follow(options[0].href);
  else menu(`Events of ${time(from, set.step, zone)}`, options, x, y);
}

/** A reduction's events of a group: as words, and as filters. Of groups by what is computed only bins of a field are
 * in a filter, and of the rest only what is no group of a field that is shown. */
function narrowed({type, filters, groups}, {letter, group, isRest, bounds: own}, set, parts) {
  const all = [...filters];
  const values = [group].flat();
  if (isRest) all.push(...othersThan(groups, set.list.filter((one) => one.letter === letter && !one.isRest)));
  else if (group !== undefined) {
    const places = groups.map(({text}, i) => groups.length === parts.length ? i : parts.findIndex((part) => part.text === text));
    groups.forEach((part, i) => all.push(...partFilters(part, values[places[i]], own)));
  }
  return {words: [type, ...all].join("."), filters: all};
}

/** The parts of an answer's groups: of the reduction that has most. Which of several quantiles it is comes after them. */
function widest(reductions) {
  return reductions.reduce((most, {groups}) => groups.length > most.length ? groups : most, []);
}

/** The filters of one part of a group; own: the bounds of a row of several bins. */
function partFilters({field, each: isEach, otherwise, bins}, value, own) {
  if (otherwise !== null && value === otherwise) { // a missing field is null
    const nothing = isEach ? `,eq(${field},[])` : "";
    return field === null ? [] : [`or(eq(${field},${literal(value)}),eq(${field},null)${nothing})`];
  }
  if (field !== null) return [`eq(${field},${literal(value)})`];
  if (!bins?.is_field) return [];
  const {low, high} = own ?? bounds(bins, value);
  return [`ge(${bins.value},${low})`, `lt(${bins.value},${high})`];
}

function othersThan(groups, shown) {
  const [{field, each: isEach, otherwise}] = groups;
  if (groups.length > 1 || field === null || isEach || otherwise !== null) return [];
  return [`nin(${field},[${["null", ...shown.map(({group}) => literal(group))].join(",")}])`];
}

function greatest(set, index) {
  const grouped = set.shown.filter(({group, values}) => group !== undefined && !Number.isNaN(values[index]) && values[index] !== 0);
  return grouped.sort((a, b) => Math.abs(b.values[index]) - Math.abs(a.values[index])).slice(0, MOST_GROUPS);
}

function eventsLink(type, f, from, to) {
  const span = {from: new Date(from).toISOString(), to: new Date(to).toISOString()};
  return `/${changed({view: "events", type, f, ...span}, new URLSearchParams())}`;
}

/** Links are followed as a click does, which the page's frame takes. */
function follow(href) {
  const link = el("a", {href});
  document.body.append(link);
  link.click();
  link.remove();
}

function menu(title, options, x, y) {
  const links = options.map(({words, href}) => el("a", {href, textContent: words}));
  const made = el("div", {className: "items behind", popover: "auto", role: "dialog", ariaLabel: title}, el("p", {textContent: title}), ...links);
  made.addEventListener("toggle", ({newState}) => { if (newState === "closed") made.remove(); });
  made.addEventListener("click", ({target}) => { if (target.closest("a")) made.hidePopover(); });
  document.body.append(made);
  made.showPopover();
  made.style.left = `${Math.max(8, Math.min(x, innerWidth - made.offsetWidth - 8))}px`;
  made.style.top = `${Math.max(8, Math.min(y, innerHeight - made.offsetHeight - 8))}px`;
  links[0].focus({preventScroll: true});
}
