// Numbers and times as text, and where the ticks of an axis stand.
import {begin} from "./time-scale.js";

const MINUTE = 6e4, HOUR = 36e5, DAY = 864e5;
const TIME_STEPS = [
  1e3, 2e3, 5e3, 1e4, 15e3, 3e4, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 91 * DAY, 365 * DAY,
];
const plain = new Intl.NumberFormat("en", {maximumSignificantDigits: 4});
const compact = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
const formats = new Map();

/** A number with four digits that count; "–" for none. */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return value.toExponential(3);
  return size >= 1e5 ? compact.format(value) : plain.format(value);
}

/** A change, of which 1 is the double: "▲ 20 %"; "–" where there is none to tell. */
export function percent(change) {
  if (!Number.isFinite(change)) return "–";
  const text = `${number(Math.round(Math.abs(change) * 1000) / 10)} %`;
  return change > 0 ? `▲ ${text}` : change < 0 ? `▼ ${text}` : `± ${text}`;
}

const UNITS = [[7 * DAY, "week"], [DAY, "day"], [HOUR, "h"], [MINUTE, "min"], [1e3, "s"]];
const MOST_OF_A_UNIT = 999;

/** A step or a length of time in words, whole where it can be: 300000 is "5 min", 25 hours "25 h", 30 days "30 days". */
export function length(milliseconds) {
  const isWhole = ([size]) => milliseconds % size === 0 && milliseconds / size <= MOST_OF_A_UNIT;
  const fitting = UNITS.filter(([size]) => milliseconds >= size);
  if (!fitting.length) return `${milliseconds} ms`;
  const [size, unit] = fitting.find(isWhole) ?? fitting[0];
  const count = milliseconds / size;
  return `${plain.format(count)} ${unit}${["week", "day"].includes(unit) && count !== 1 ? "s" : ""}`;
}

/** So many bytes: "63.5 MB". */
export function bytes(count) {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  return `${(count / 1000 ** power).toLocaleString("en", {maximumSignificantDigits: 3})} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

function clock(zone, options) {
  const name = zone + JSON.stringify(options);
  if (!formats.has(name)) {
    const timeZone = zone === "utc" ? "UTC" : zone || undefined;
    formats.set(name, new Intl.DateTimeFormat("en-GB", {timeZone, hourCycle: "h23", ...options}));
  }
  return formats.get(name);
}

/** A bucket's time, as exact as its step: "Sat 28 Nov 2026, 14:05". */
export function time(at, step, zone) {
  const day = {weekday: "short", day: "numeric", month: "short", year: "numeric"};
  const isNamed = zone && zone !== "utc";
  if (step >= (isNamed ? 0.9 : 1) * DAY) return clock(isNamed ? zone : "utc", day).format(at);
  const second = step < MINUTE ? {second: "2-digit"} : {};
  return clock(zone, {...day, hour: "2-digit", minute: "2-digit", ...second}).format(at);
}

/** Ticks of an axis of time: at most so many [time, text, whether it begins a day]. */
export function timeTicks(start, stop, most, zone) {
  const step = TIME_STEPS.find((one) => (stop - start) / one <= most) ?? TIME_STEPS.at(-1);
  const offset = offsetOf(start, zone);
  const ticks = [];
  for (let at = Math.ceil((start + offset) / step) * step - offset; at < stop; at += step) {
    const isDay = (at + offset) % DAY === 0;
    ticks.push([at, tickText(at, step, isDay, zone), isDay]);
  }
  return ticks;
}

/** Ticks at the starts of buckets that are not equally long: [share of the width, text, whether it is marked]. */
export function edgeTicks(times, count, step, most, zone) {
  const each = Math.max(1, Math.ceil(count / most));
  const ticks = [];
  for (let i = 0; i < count; i += each) {
    const isDay = step >= 0.9 * DAY || midnight(times[i], zone);
    ticks.push([begin({times, count}, i), tickText(times[i], step >= 27 * DAY ? 30 * DAY : step, isDay, zone), isDay && step < DAY / 2]);
  }
  return ticks;
}

function midnight(at, zone) {
  return (at + offsetOf(at, zone)) % DAY === 0;
}

/** How far the clocks of a zone are ahead of UTC. */
export function offsetOf(at, zone) {
  if (zone === "utc") return 0;
  if (!zone) return -new Date(at).getTimezoneOffset() * MINUTE;
  const options = {year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric"};
  const parts = Object.fromEntries(clock(zone, options).formatToParts(at).map(({type, value}) => [type, Number(value)]));
  const {year, month, day, hour, minute, second} = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1e3) * 1e3;
}

function tickText(at, step, isDay, zone) {
  if (step >= 30 * DAY) return clock(zone, {month: "short", year: "numeric"}).format(at);
  if (isDay) return clock(zone, {day: "numeric", month: "short"}).format(at);
  const second = step < MINUTE ? {second: "2-digit"} : {};
  return clock(zone, {hour: "2-digit", minute: "2-digit", ...second}).format(at);
}

/** Round ticks of an axis of values between two, about so many. */
export function valueTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step || 0);
  return ticks;
}
