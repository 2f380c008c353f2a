// From the address to series: which step, which buckets, asked once over HTTP or kept up over a WebSocket.
import {get, live, now} from "./api.js";
import {groupingOf} from "./bins.js";
import {unitIn} from "./panes.js";
import {reductionsOf} from "./readings.js";
import {SeriesSet} from "./series.js";
import {duration, read, span} from "./state.js";

/** The steps at which the evaluator has metrics, in milliseconds. */
export const STEPS = [1e3, 1e4, 6e4, 3e5, 36e5, 864e5, 6048e5];
const PIXELS = {bars: 4, heat: 2}; // for a bucket, where the step is automatic
const MOST_BUCKETS = 10_000;
const EARLIER_WAIT = 10_000;
const WEEKS_FROM = -259_200_000; // weeks begin on a Monday, as 1969-12-29 was

/** What the address asks for: {expressions: {A: text}, start, step, count, isLive, …}, for a plot of some pixels. */
export function wanted(width, coarser = 0, query = read()) {
  const texts = query.getAll("e").map((text) => text.trim());
  const expressions = Object.fromEntries(texts.map((text, i) => [letter(i), text]).filter(([, text]) => text));
  const chart = query.get("chart") ?? "line";
  const {start, stop} = span(now(), query);
  const step = stepFor(stop - start, query.get("step"), width / (PIXELS[chart] ?? 1), coarser);
  const last = Math.min(floor(stop, step) === stop ? stop : floor(stop, step) + step, floor(now(), step));
  const first = Math.max(floor(start, step), last - MOST_BUCKETS * step);
  const isLive = query.get("live") !== "0" && (query.get("to") ?? "now") === "now";
  return {expressions, start: first, step, count: Math.max(1, Math.round((last - first) / step)), isLive, before: duration(query.get("compare"))};
}

/** The letter of an expression by its place. */
export function letter(i) {
  return String.fromCharCode(65 + i);
}

/** The start of the bucket that holds a time. */
export function floor(time, step) {
  const from = step === 6048e5 ? WEEKS_FROM : 0;
  return Math.floor((time - from) / step) * step + from;
}

function stepFor(length, chosen, pixels, coarser) {
  if (STEPS.includes(Number(chosen))) return Number(chosen);
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
  const query = wanted(width, coarser, params);
  const set = new SeriesSet(query);
  const before = Number.isNaN(query.before) ? null : new SeriesSet(query);
  const letters = Object.keys(query.expressions);
  const asked = letters.map(async (name) => {
    await fill(set, name, query, 0, signal);
    if (before) await fill(before, name, query, query.before, signal);
    if (letters.length > 1) set.units[name] = await unit(query.expressions[name], signal);
  });
  // Bins are told by their bounds; only what is rounded down makes some.
  const binned = letters.filter((name) => /\bfloor\b/.test(query.expressions[name]));
  const known = binned.map((name) => groupingOf(query.expressions[name]).then((found) => { set.groupings[name] = found; }, () => {}));
  const results = await Promise.allSettled(asked);
  await Promise.all(known);
  if (signal.aborted) return;
  const failed = results.map(({reason}) => reason);
  const isAutomatic = !STEPS.includes(Number(params.get("step")));
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

async function fill(set, name, {expressions, start, step, count}, ago, signal) {
  const params = {expression: expressions[name], start: iso(start - ago), stop: iso(start + count * step - ago), step, limit: count};
  set.take(name, await get("/1.0/metric", params, {signal}), ago);
}

/** Take what is new over the WebSocket, and tell it at most once in a frame; the span moves on with the time. A tab
 * that is not in sight has no frames: rows are taken as they come, and only the telling waits. */
function keepUp(set, before, letters, query, signal, told) {
  const {expressions, start, step, count} = query;
  let pending = 0;
  const earlier = before ? follow(before, letters, query, signal) : () => {};
  const tell = () => {
    pending = 0;
    if (!signal.aborted) told.onChange();
  };
  const schedule = () => { pending ||= requestAnimationFrame(tell); };
  const slide = () => {
    if (!set.slide(floor(now(), step) - count * step)) return;
    earlier(set.start);
    schedule();
  };
  for (const name of letters) {
    const request = {expression: expressions[name], start: iso(start), step, limit: count + 1};
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
  return (start) => {
    before.slide(start);
    if (now() < asked + EARLIER_WAIT) return;
    asked = now();
    for (const name of letters) {
      fill(before, name, {...query, start}, query.before, signal).catch((error) => signal.aborted || console.warn(error.message));
    }
  };
}

function iso(time) {
  return new Date(time).toISOString();
}
