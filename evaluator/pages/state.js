// The address's query is the whole state of the page: a link shows what its sender saw, and back and forward work.
// A view reads it with read(), changes it with write(), and is told by app.js (update) when it has changed.

const UNITS = {s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5};
const RELATIVE = /^now(?:([+-])(\d+)([smhdw]))?$|^(-)(\d+)([smhdw])$/;
const YEAR = /^(19|20|21)\d\d$/;

const NAMES = /^(view|e|from|to|step|week|chart|compare|scale|live|zone|off|only|board|edit|shared|type|f|col|v-.+)$/;

/** The query's parameters: get(name) and getAll(name), as text; a zone that there is not is left out, which addressProblems() tells. */
export function read() {
  const query = new URLSearchParams(location.search);
  if (!isClock(query.get("zone"))) query.delete("zone");
  return query;
}

/** What the address says that there is not, in sentences: other parameters, and a zone that no clock follows. */
export function addressProblems(query = new URLSearchParams(location.search)) {
  const zone = query.get("zone");
  const unknown = [...new Set(query.keys())].filter((name) => !NAMES.test(name));
  return [
    ...(isClock(zone) ? [] : [`The address says zone=${zone}, which is no time zone; accepted are utc and names such as Europe/Berlin. The usual clock is shown.`]),
    ...unknown.map((name) => `The address has ${name}, which is no parameter of this page and changes nothing; accepted are those such as e, from, to, step and zone.`),
  ];
}

const clocks = new Map([[null, true], ["", true], ["utc", true]]); // asked at each drawing, and slow to find out

function isClock(zone) {
  if (!clocks.has(zone)) clocks.set(zone, /^[A-Za-z]/.test(zone) && isZone(zone));
  return clocks.get(zone);
}

function isZone(timeZone) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", {timeZone}));
  } catch (error) {
    if (error instanceof RangeError) return false; // the browser's way to say so
    throw error;
  }
}

/** The address's query with some parameters changed; null, "" and [] leave one out, a list repeats it. */
export function changed(changes, query = read()) {
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  return `?${query}`;
}

/** Change parameters, as a step of the browser's history, or in place of the present one. */
export function write(changes, {replace = false} = {}) {
  const next = changed(changes);
  if (next === location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  dispatchEvent(new Event("cube:state"));
}

/** Whether a text is a relative time: now, now-6h, -6h. */
export function isRelative(text) {
  return RELATIVE.test(text);
}

/** The milliseconds of "6h", or NaN. */
export function duration(text) {
  const found = /^(\d+)([smhdw])$/.exec(text ?? "");
  return found ? Number(found[1]) * UNITS[found[2]] : NaN;
}

/** A time in milliseconds: relative to now, ISO 8601 (without a zone: UTC, as in the API) or milliseconds; else NaN, as for what no Date can hold. A year alone is that year. */
export function resolve(text, now) {
  return new Date(milliseconds(text, now)).getTime();
}

function milliseconds(text, now) {
  const found = RELATIVE.exec(text);
  if (found) {
    const [sign, number, unit] = found[4] ? found.slice(4, 7) : found.slice(1, 4);
    return sign ? now + Number(`${sign}${number}`) * UNITS[unit] : now;
  }
  if (/^-?\d+$/.test(text) && !YEAR.test(text)) return Number(text);
  const iso = text.trim().replace(" ", "T");
  return Date.parse(/T/.test(iso) && !/(Z|[+-]\d\d:?\d\d)$/i.test(iso) ? `${iso}Z` : iso);
}

/** The span {start, stop} that from and to name; the last hour where they name none, which spanProblem() tells. */
export function span(now, query = read()) {
  const start = resolve(query.get("from") ?? "-1h", now);
  const stop = resolve(query.get("to") ?? "now", now);
  return start < stop ? {start, stop} : {start: now - 36e5, stop: now};
}

/** What is wrong with the span that from and to name, in words: no time, no length, or nothing in it yet; "" of any other. */
export function spanProblem(now, query = read()) {
  const asked = [query.get("from") ?? "-1h", query.get("to") ?? "now"];
  const [start, stop] = asked.map((text) => resolve(text, now));
  const wrong = asked.find((text) => Number.isNaN(resolve(text, now)));
  if (wrong !== undefined) return `${noTime(wrong)} The last hour is shown.`;
  if (start >= stop) return `The address says from ${asked[0]} to ${asked[1]}, whose end is not after its start. The last hour is shown.`;
  return start > now ? "This span has not begun yet, so there is nothing to show of it." : "";
}

/** What to say of a text that is no time. */
export function noTime(text) {
  return `The address says ${text}, which is no time; accepted are times such as -6h, now and 2026-11-02T12:00Z.`;
}
