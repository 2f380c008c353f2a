// Groups that are bins of a value, .group(floor(ms / 100)) or .group(floor(log2(ms))): where each begins and ends.
import {describe} from "./readings.js";

const plain = new Intl.NumberFormat("en", {maximumSignificantDigits: 4});
const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 4});

/** What an expression's groups are: {bins, parts, steps, isAdditive}. steps: of a funnel the texts of its steps. bins: as GET /1.0/expression tells them, null where groups
 * are others; parts: those of each part of them; isAdditive: whether several groups together have the sum of their
 * values, and no event is 0. */
export async function groupingOf(text) {
  const {readings} = await describe(text);
  const metric = readings.find(({kind}) => kind === "metric");
  const [first, ...others] = metric?.reductions.filter(({groups}) => groups.length) ?? [];
  const isOne = first?.bins && others.every(({bins}) => JSON.stringify(bins) === JSON.stringify(first.bins));
  const isAdditive = metric?.expression === first?.expression && ["sum", "count"].includes(first?.reduce);
  const isSame = others.every(({groups}) => groups.length !== first.groups.length || sameBins(groups, first.groups));
  return {steps: metric?.steps ?? null, bins: isOne ? first.bins : null, parts: first && isSame ? first.groups : [], isAdditive};
}

function sameBins(one, other) {
  return JSON.stringify(one.map(({bins}) => bins)) === JSON.stringify(other.map(({bins}) => bins));
}

/** The number of the bin that a group is: neighbours differ by 1. */
export function place({step, width}, group) {
  return Math.round(group * step / width);
}

/** Where the bin of a number begins; it ends where the next one does. */
export function edge({base, width}, number) {
  const at = number * width;
  if (base === 10 && Number.isInteger(at)) return Number(`1e${at}`); // the nearest number, which ** may miss
  return base ? base ** at : at;
}

/** The bounds {low, high} of a group: it holds what is at least low, and less than high. */
export function bounds(bins, group) {
  const number = place(bins, group);
  return {low: edge(bins, number), high: edge(bins, number + 1)};
}

/** A bound as text. */
export function edgeText(value) {
  if (Math.abs(value) >= 1e7) return compact.format(value);
  return Number.isInteger(value) ? whole.format(value) : plain.format(value);
}

/** What a bin is called: "128 – 256". */
export function binName({low, high}) {
  return `${edgeText(low)} – ${edgeText(high)}`;
}
