// A board as a value, as docs/reference.md describes it: changes give a new one, and the old one stays as it was.
import {isWeeks, stepOf, WEEKDAYS} from "./grid.js";

export const COLUMNS = 12;
const SIZES = {width: [2, COLUMNS], height: [2, 12]};
const USUAL = {width: 6, height: 4};

/** A new board. */
export function emptyBoard(title) {
  return {version: 1, title, span: "1h", variables: [], charts: []};
}

/** A chart's width in columns or its height in rows. */
export function sizeOf(chart, side) {
  return chart[side] ?? USUAL[side];
}

/** What a chart is called: its title, else its expressions. */
export function nameOf(chart) {
  return chart.title || chart.expressions.join(", ");
}

export function withChart(board, place, chart) {
  return {...board, charts: charts(board).with(place, chart)};
}

export function added(board, chart) {
  return {...board, charts: [...charts(board), chart]};
}

export function removed(board, place) {
  return {...board, charts: charts(board).toSpliced(place, 1)};
}

/** With the chart at one place moved to another, places counted without it. */
export function moved(board, from, to) {
  const chart = charts(board)[from];
  return {...board, charts: charts(board).toSpliced(from, 1).toSpliced(to, 0, chart)};
}

/** With a chart so wide or so high, within what is allowed. */
export function resized(board, place, {width, height}) {
  const chart = {...charts(board)[place]};
  if (width !== undefined) chart.width = within("width", width);
  if (height !== undefined) chart.height = within("height", height);
  return withChart(board, place, chart);
}

function within(side, size) {
  const [least, most] = SIZES[side];
  return Math.max(least, Math.min(most, Math.round(size)));
}

/** A board's charts, and its variables: both may be missing. */
export function charts(board) {
  return board.charts ?? [];
}

export function variables(board) {
  return board.variables ?? [];
}

/** The parameters of Explore's questions for a chart; values: of the variables, texts: put(expression, values). */
export function question(chart, values, put, query) {
  const {from, to, live, zone, week} = query;
  const params = new URLSearchParams({view: "explore"});
  for (const text of chart.expressions) params.append("e", put(text, values));
  const more = {chart: chart.chart, step: chart.step, compare: chart.compare, from, to, live, zone, week: isWeeks(stepOf(chart.step)) ? week : null};
  for (const [name, value] of Object.entries(more)) if (value) params.set(name, value);
  return params;
}

/** The name of an address that a title gives: "Shop: über alles" is "shop-uber-alles". */
export function slug(title) {
  const plain = title.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return plain.replace(/^-+/, "").slice(0, 60).replace(/-+$/, "") || "board";
}

/** Whether two boards say the same. */
export function isSame(one, other) {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

/** The names of charts that are not among others, as often as they are not. */
function without(these, others) {
  const left = others.map((chart) => JSON.stringify(sorted(chart)));
  return these.filter((chart) => {
    const found = left.indexOf(JSON.stringify(sorted(chart)));
    if (found >= 0) left.splice(found, 1);
    return found < 0;
  }).map((chart) => `“${nameOf(chart)}”`);
}

/** What is different in a later board, in words: "2 charts are new". */
export function differences(old, later) {
  const came = without(charts(later), charts(old)), went = without(charts(old), charts(later));
  const told = [];
  if (old.title !== later.title) told.push(`the title is “${later.title}”`);
  if (came.length) told.push(`new or changed: ${came.join(", ")}`);
  if (went.length) told.push(`no longer as before: ${went.join(", ")}`);
  if (!came.length && !went.length && !isSame(charts(old), charts(later))) told.push("the charts are in another order");
  if (!isSame(variables(old), variables(later))) told.push("the variables are others");
  if ((old.timezone ?? "") !== (later.timezone ?? "")) told.push(`the clock is ${later.timezone || "that of who looks"}`);
  if ((old.week_start ?? WEEKDAYS[0]) !== (later.week_start ?? WEEKDAYS[0])) told.push(`weeks begin on ${later.week_start ?? WEEKDAYS[0]}`);
  if ((old.span ?? "1h") !== (later.span ?? "1h")) told.push(`the span is ${later.span ?? "1h"}`);
  return told.length ? `${told.join("; ")}.` : "nothing that is shown.";
}
