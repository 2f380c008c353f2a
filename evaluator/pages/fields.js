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

/** The expression that a chart of a field begins with; filters: ".eq(status, 500)…". */
export function chartOf(type, field, filters = "") {
  const few = field.distinct <= FEW && field.distinct_complete;
  if (few) return `sum(${type}${filters}).group(${field.field})`;
  if (field.kinds[0] === "number") return `median(${type}(${field.field})${filters})`;
  return `distinct(${type}(${field.field})${filters})`;
}

/** The address of Explore with an expression; span: {from, to} as the address has them. */
export function exploreLink(expression, {from, to} = {}) {
  const query = new URLSearchParams({view: "explore", e: expression});
  if (from) query.set("from", from);
  if (to) query.set("to", to);
  return `/?${query}`;
}
