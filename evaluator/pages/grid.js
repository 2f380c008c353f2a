// What time is divided by: steps that are even, and those that follow a calendar or the clocks of a zone.
import {get} from "./api.js";
import {length} from "./format.js";

const MINUTE = 6e4, HOUR = 36e5, DAY = 864e5, WEEK = 6048e5;
const WEEKS_FROM = -259_200_000; // 1969-12-29, a Monday
const CALENDAR = {month: 30 * DAY, quarter: 91 * DAY, year: 365 * DAY};
const AHEAD = 50; // edges that are known beyond the last bucket, for those that come

/** The days on which weeks may begin, as the evaluator knows them; they do on the first unless another is chosen. */
export const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/** The steps that are chosen from by themselves: those at which the evaluator keeps metrics, in milliseconds. */
export const STEPS = [1e3, 1e4, MINUTE, 5 * MINUTE, HOUR, DAY, WEEK];

/** The steps that are offered: milliseconds, or words. */
const OFFERED = [
  1e3, 1e4, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, WEEK, ...Object.keys(CALENDAR),
];

/** A step of an address or a board: milliseconds or words as they are asked for; null where it is none. */
export function stepOf(text) {
  if (text === null || text === undefined || text === "") return null;
  if (text in CALENDAR) return text;
  const found = /^(\d+)(ms|s|m|h|d|w)$/.exec(text);
  const units = {ms: 1, s: 1e3, m: MINUTE, h: HOUR, d: DAY, w: WEEK};
  const milliseconds = found ? Number(found[1]) * units[found[2]] : Number(text);
  return milliseconds >= 1e3 && milliseconds <= 366 * DAY && milliseconds % 1e3 === 0 ? milliseconds : null;
}

/** How long a step is, about. */
export function lengthOf(step) {
  return CALENDAR[step] ?? step;
}

/** A step in words: "5 min", "1 month". */
function stepWords(step) {
  return step in CALENDAR ? `1 ${step}` : length(step);
}

/** What the buckets of a question are, in words: "1 day in Europe/Berlin", "1 week from Sunday". */
export function bucketWords({asked, zone, week, times}) {
  const words = week ? `${stepWords(asked)} from ${weekdayName(week)}` : stepWords(asked);
  return times && zone ? `${words} in ${zone}` : words;
}

/** A day of the week as it is written: "Sunday". */
function weekdayName(day) {
  return day[0].toUpperCase() + day.slice(1);
}

/** Whether a step is of whole weeks: milliseconds, or words. */
export function isWeeks(step) {
  return typeof step === "number" && step % WEEK === 0;
}

/** What to choose the first day of weeks from. */
export function weekdayChoices(usual = WEEKDAYS[0]) {
  return [["", weekdayName(usual)], ...WEEKDAYS.filter((day) => day !== usual).map((day) => [day, weekdayName(day)])];
}

/** On which day the buckets of a step begin, where that is not the usual one; null elsewhere, and of what is none. */
export function weekOf(text, step) {
  return isWeeks(step) && WEEKDAYS.indexOf(text) > 0 ? text : null;
}

/** What to choose a step from; one that is none of those that are offered is among them where it is chosen. */
export function stepChoices(chosen) {
  const step = stepOf(chosen);
  const all = step === null || OFFERED.includes(step) ? OFFERED : [step, ...OFFERED];
  return [["", "Automatic"], ...all.map((one) => [String(one), stepWords(one)])];
}

/** The zone whose clocks divide time: of the clock that is chosen, if that is one by name. */
export function zoneOf(clock) {
  return clock && clock !== "utc" ? clock : null;
}

/** Whether all buckets are equally long: the evaluator says where others begin. */
export function isEven(step, zone) {
  return typeof step === "number" && (!zone || step <= 15 * MINUTE);
}

/** The start of the bucket of an even step that holds a time; week: the day on which weeks begin. */
export function floor(time, step, week = null) {
  const from = step % WEEK === 0 ? WEEKS_FROM + Math.max(0, WEEKDAYS.indexOf(week)) * DAY : 0;
  return Math.floor((time - from) / step) * step + from;
}

/** What a question says of its grid. */
export function gridParams({asked, zone, week}) {
  return {step: asked, ...(zone ? {timezone: zone} : {}), ...(week ? {week_start: week} : {})};
}

/** Where the buckets of a span begin, and some that come after it, as the evaluator tells. */
export async function edgesOf(grid, start, stop, {signal} = {}) {
  const beyond = stop + AHEAD * lengthOf(grid.asked);
  const params = {expression: "0", start: iso(start), stop: iso(beyond), ...gridParams(grid)};
  return (await get("/1.0/metric", params, {signal})).map(({time}) => Date.parse(time));
}

function iso(time) {
  return new Date(time).toISOString();
}
