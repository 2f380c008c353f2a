// The rows of a heat map, lowest first: for each expression its groups. Where these are bins of a value they stand at
// their bounds, with the empty ones between them, and several in one row where they are too many.
import {binName, edge, place} from "./bins.js";

const NICE = [1, 2, 5];

/** The panels, one for each expression: {letter, bins, rows, first, each, least, greatest}, for so many rows in all.
 * A row is like a series: {key, letter, label, name, values, group, bounds}; `first` is the number of the lowest
 * row, of `each` bins. */
export function panelsOf(set, most) {
  const letters = [...new Set(set.shown.map(({letter}) => letter))];
  return letters.map((letter) => {
    const series = set.shown.filter((one) => one.letter === letter);
    const {bins, isAdditive} = set.groupings[letter] ?? {};
    const isBinned = bins && series.every(({group}) => typeof group === "number");
    const made = isBinned ? binned(set, series, bins, isAdditive, most / letters.length) : {rows: series.map((one) => row(one)), first: 0, each: 1};
    return {letter, bins: isBinned ? bins : null, ...made, ...extremes(made.rows, set.count)};
  });
}

function row({key, letter, label, name, values, group}) {
  return {key, letter, label, name, values, group, bounds: null};
}

function binned(set, series, bins, isAdditive, most) {
  const places = series.map(({group}) => place(bins, group));
  const [low, high] = [Math.min(...places), Math.max(...places)];
  const each = nice((high - low + 1) / Math.max(1, most));
  const first = Math.floor(low / each);
  const members = Array.from({length: Math.floor(high / each) - first + 1}, () => []);
  series.forEach((one, i) => members[Math.floor(places[i] / each) - first].push(one));
  const {letter} = series[0];
  const prefix = Object.keys(set.expressions).length > 1 ? `${letter} · ` : "";
  const present = isAdditive ? columns(set, letter) : null;
  const rows = members.map((some, i) => {
    const bounds = {low: edge(bins, (first + i) * each), high: edge(bins, (first + i + 1) * each)};
    const name = binName(bounds);
    const values = together(some, set.count, present);
    return {key: `${letter}/${first + i}`, letter, label: prefix + name, name, values, group: some[0]?.group ?? null, bounds};
  });
  return {rows, first, each};
}

/** The least of 1, 2, 5, 10, 20 … that is not less. */
export function nice(least) {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(least)));
  return [...NICE.map((one) => one * power), 10 * power].find((one) => one >= least);
}

/** Which buckets have a value in any group: there the others have none of what is counted. */
function columns(set, letter) {
  const found = new Uint8Array(set.count);
  for (const {values} of set.list.filter((one) => one.letter === letter)) {
    for (let i = 0; i < set.count; i++) if (!Number.isNaN(values[i])) found[i] = 1;
  }
  return found;
}

/** The values of several groups in one row: their sum where they can be added up, else the greatest. */
function together(series, count, present) {
  const values = new Float64Array(count).fill(NaN);
  if (present) for (let i = 0; i < count; i++) if (present[i]) values[i] = 0;
  for (const one of series) {
    for (let i = 0; i < count; i++) {
      const value = one.values[i];
      if (Number.isNaN(value)) continue;
      if (present) values[i] += value;
      else if (!(values[i] >= value)) values[i] = value;
    }
  }
  return values;
}

function extremes(rows, count) {
  let least = 0, greatest = 0;
  for (const {values} of rows) {
    for (let i = 0; i < count; i++) {
      if (values[i] < least) least = values[i];
      if (values[i] > greatest) greatest = values[i];
    }
  }
  return {least, greatest};
}
