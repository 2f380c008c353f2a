// From the address to series: which step, which buckets, asked once over HTTP or kept up over a WebSocket.
import {get, live, now} from "./api.js";
import {groupingOf} from "./bins.js";
import {edgesOf, floor, gridParams, isEven, lengthOf, STEPS, stepOf, weekOf, zoneOf} from "./grid.js";
import {unitIn} from "./panes.js";
import {reductionsOf} from "./readings.js";
import {SeriesSet} from "./series.js";
import {duration, read, span} from "./state.js";

const PIXELS = {bars: 4, heat: 2}; // for a bucket, where the step is automatic
const MOST_BUCKETS = 10_000;
const EARLIER_WAIT = 10_000;

/** What the address asks for: {expressions: {A: text}, start, step, count, isLive, …}, for a plot of some pixels.
 * asked: the step as it is asked for, by the clocks of a zone. Where buckets are not even, step is about their length,
 * and start and count are found by withEdges(). */
export function wanted(width, coarser = 0, query = read()) {
  const texts = query.getAll("e").map((text) => text.trim());
  const expressions = Object.fromEntries(texts.map((text, i) => [letter(i), text]).filter(([, text]) => text));
  const chart = query.get("chart") ?? "line";
  const {start, stop} = span(now(), query);
  const asked = stepFor(stop - start, query.get("step"), width / (PIXELS[chart] ?? 1), coarser);
  const zone = zoneOf(query.get("zone")), week = weekOf(query.get("week"), asked), step = lengthOf(asked);
  const isLive = query.get("live") !== "0" && (query.get("to") ?? "now") === "now";
  const common = {expressions, asked, zone, week, step, isLive, before: duration(query.get("compare"))};
  if (!isEven(asked, zone)) return {...common, start, stop, count: 0};
  const edge = (time) => floor(time, step, week);
  const last = Math.min(edge(stop) === stop ? stop : edge(stop) + step, edge(now()));
  const first = Math.max(edge(start), last - MOST_BUCKETS * step);
  return {...common, start: first, count: Math.max(1, Math.round((last - first) / step)), times: null};
}

/** What is wanted, with where its buckets begin: of those that are not even the evaluator tells it. */
async function withEdges(query, signal) {
  if (query.times !== undefined) return query;
  const all = await edgesOf(query, query.start, query.stop, {signal});
  const isWhole = (i) => i + 1 < all.length && all[i] < query.stop && all[i + 1] <= now();
  let count = 0;
  while (isWhole(count)) count += 1;
  count = Math.max(1, count);
  return {...query, times: all, count, start: all[0], step: (all[count] - all[0]) / count};
}

/** The letter of an expression by its place. */
export function letter(i) {
  return String.fromCharCode(65 + i);
}

function stepFor(length, chosen, pixels, coarser) {
  const step = stepOf(chosen);
  if (step !== null) return step;
  const fits = STEPS.findIndex((step) => length / step <= Math.min(MOST_BUCKETS, Math.max(60, pixels)));
  const place = (fits < 0 ? STEPS.length - 1 : fits) + coarser;
  return STEPS[Math.min(STEPS.length - 1, place)];
}

/** Ask for all that the address (or other parameters: asked) says; calls onSet(set, before, wanted) once there are answers, then onChange() when live rows came, and
 * onError(letter, error) for what was refused. Returns what ends it. */
export function ask(width, told, asked = read()) {
  const {onError} = told;
  const ending = new AbortController();
  run(width, 0, ending.signal, told, asked).catch((error) => {
    if (!ending.signal.aborted) onError(null, error);
  });
  return () => ending.abort();
}

async function run(width, coarser, signal, told, params) {
  const query = await withEdges(wanted(width, coarser, params), signal);
  const set = new SeriesSet(query);
  const before = Number.isNaN(query.before) ? null : new SeriesSet(query);
  const letters = Object.keys(query.expressions);
  const asked = letters.map(async (name) => {
    await fill(set, name, query, 0, signal);
    if (before) await fill(before, name, query, query.before, signal);
    if (letters.length > 1) set.units[name] = await unit(query.expressions[name], signal);
  });
  // Bins are told by their bounds, and only what is rounded down makes some; a funnel's groups by its steps.
  const binned = letters.filter((name) => /\b(floor|funnel)\b/.test(query.expressions[name]));
  const known = binned.map((name) => groupingOf(query.expressions[name]).then((found) => { set.groupings[name] = found; }, () => {}));
  const results = await Promise.allSettled(asked);
  await Promise.all(known);
  if (signal.aborted) return;
  const failed = results.map(({reason}) => reason);
  const isAutomatic = stepOf(params.get("step")) === null;
  if (isAutomatic && coarser < 3 && failed.some((error) => /values|buckets/.test(error?.message) && !error.column)) {
    return run(width, coarser + 1, signal, told, params);
  }
  failed.forEach((error, i) => error && told.onError(letters[i], error));
  set.settle();
  told.onSet(set, before, query);
  if (query.isLive) keepUp(set, before, letters.filter((_, i) => !failed[i]), query, signal, told);
}

/** What an expression's values are; where that is not to be had they are like nothing else. */
async function unit(text, signal) {
  return unitIn(text, await reductionsOf(text, {signal}).catch(() => []));
}

async function fill(set, name, query, ago, signal) {
  const params = {expression: query.expressions[name], start: iso(set.edge(0) - ago), stop: iso(set.stop - ago), ...gridParams(query), limit: set.count};
  set.take(name, await get("/1.0/metric", params, {signal}), ago);
}

/** Take what is new over the WebSocket, and tell it at most once in a frame; the span moves on with the time. A tab
 * that is not in sight has no frames: rows are taken as they come, and only the telling waits. */
function keepUp(set, before, letters, query, signal, told) {
  const {expressions, start, step, count} = query;
  let pending = 0, isAsking = false;
  const earlier = before ? follow(before, letters, query, signal) : () => {};
  const tell = () => {
    pending = 0;
    if (!signal.aborted) told.onChange();
  };
  const schedule = () => { pending ||= requestAnimationFrame(tell); };
  const slide = () => {
    if (!set.slideTo(now())) return;
    if (set.isShort && !isAsking) more();
    earlier();
    schedule();
  };
  const more = async () => {
    isAsking = true;
    const edges = await edgesOf(query, set.start, set.stop, {signal}).catch(() => []);
    for (const one of [set, before]) if (edges.length) one?.extend(edges);
    isAsking = false;
  };
  for (const name of letters) {
    const request = {expression: expressions[name], start: iso(start), ...gridParams(query), limit: count + 1};
    let again = null; // the rows that come again after the connection was lost, until they are all here
    const end = live("/1.0/metric/get", request, (row) => {
      if (row.restart) again = [];
      else if (row.live && again) {
        slide();
        set.replace(name, again);
        again = null;
        schedule();
      } else if (row.time && again) again.push(row);
      else if (row.time) {
        slide();
        if (set.take(name, [row])) schedule();
      }
    }, (error) => told.onError(name, error));
    signal.addEventListener("abort", end);
  }
  const ticking = setInterval(slide, Math.min(step, 1000));
  signal.addEventListener("abort", () => clearInterval(ticking));
}

/** What is compared moves on as well: its new buckets are asked for, not more often than each ten seconds. */
function follow(before, letters, query, signal) {
  let asked = now();
  return () => {
    before.slideTo(now());
    if (now() < asked + EARLIER_WAIT) return;
    asked = now();
    for (const name of letters) {
      fill(before, name, query, query.before, signal).catch((error) => signal.aborted || console.warn(error.message));
    }
  };
}

function iso(time) {
  return new Date(time).toISOString();
}
