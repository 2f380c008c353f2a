// Fields of events in expressions: their texts, their values, literals, and the question that a chart of one asks.

const PART = /\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\.?([^.[\]]+)/gy;
const FEW = 20; // different values that are groups rather than measures

/** The path that a field's text names: 'a["b c"][0]' is ["a", "b c", 0]. */
export function pathOf(text) {
  return [...text.matchAll(PART)].map(([, quoted, index, word]) => {
    if (quoted !== undefined) return JSON.parse(`"${quoted}"`);
    return index === undefined ? word : Number(index);
  });
}

/** What stands at a path of an event's data; undefined where nothing does. */
export function valueAt(data, path) {
  let value = data;
  for (const part of path) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

/** Whether a value can stand in a filter. */
export function isLiteral(value) {
  return value === null || typeof value !== "object";
}

/** A literal of the expression language. */
export function literal(value) {
  return JSON.stringify(value);
}

/** A value as a person reads it. */
export function shown(value) {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Whether a field can be charted, and shown as a column: values in arrays cannot. */
export function isPlain(field) {
  return !field.in_array && !["object", "array"].includes(field.kinds[0]);
}

/** Whether a field is a number with many different values, rather than groups. */
export function isMeasure(field) {
  return isPlain(field) && field.kinds[0] === "number" && !isFew(field);
}

function isFew(field) {
  return field.distinct <= FEW && field.distinct_complete;
}

/** The expression of a heat map of a value's distribution, in powers of two. */
export function heatOf(type, value, filters = "") {
  return `sum(${type}${filters}).group(floor(log2(${value})))`;
}

/** The expression that a chart of a field begins with; filters: ".eq(status, 500)…". */
export function chartOf(type, field, filters = "") {
  if (isFew(field)) return `sum(${type}${filters}).group(${field.field})`;
  if (field.kinds[0] === "number") return `median(${type}(${field.field})${filters})`;
  return `distinct(${type}(${field.field})${filters})`;
}

/** The address of Explore with an expression; chart, and the span's from and to, as the address has them. */
export function exploreLink(expression, {from, to, chart} = {}) {
  const query = new URLSearchParams({view: "explore", e: expression});
  if (chart) query.set("chart", chart);
  if (from) query.set("from", from);
  if (to) query.set("to", to);
  return `/?${query}`;
}
