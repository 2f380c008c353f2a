// What expressions are, by GET /1.0/expression; what was told of a metric without saved names is kept: it does not change.
import {get} from "./api.js";

const MOST = 100;
const known = new Map();

/** The answer for a text, without completions; may be one of another caller's: {readings, error}. */
export function describe(text, {signal} = {}) {
  const found = known.get(text);
  return found ? Promise.resolve(found) : get("/1.0/expression", {expression: text}, {signal}).then((answer) => keep(text, answer));
}

/** The reductions of a metric expression: {expression, type, value, filters, group, events}; none where it is not one. */
export async function reductionsOf(text, {signal} = {}) {
  const {readings} = await describe(text, {signal});
  return readings.find(({kind}) => kind === "metric")?.reductions ?? [];
}

function keep(text, answer) {
  if (answer.has_names || !answer.readings.some(({kind}) => kind === "metric")) return answer;
  known.set(text, answer);
  if (known.size > MOST) known.delete(known.keys().next().value);
  return answer;
}

addEventListener("cube:key", () => known.clear()); // another key may be refused, or allowed, another type
