// Rows of /1.0/metric as series: for each expression and group the values of consecutive buckets, NaN where there is none.
import {binName, bounds} from "./bins.js";
import {floor} from "./grid.js";

const KINDS = ["number", "string", "boolean"]; // of groups, and of their parts, in their order
const REST = -1; // the number of its colour
export const ONLY_OPEN = "all there is lies in the bucket that goes on, shown once it is over; a shorter step shows it now";
const collator = new Intl.Collator("en", {numeric: true});

/** One line of a chart. ``number`` is its colour's; ``values[i]`` belongs to the bucket at start + i × step. */
class Series {
  constructor(set, letter, {group, other: isRest = false}, values) {
    Object.assign(this, {letter, group, isRest, values, hidden: false, number: 0, dirty: true});
    this.key = keyOf(letter, {group, other: isRest});
    this.set = set;
    this.call();
  }

  /** Name it by its group: a bin by its bounds, the step of a funnel by its number and text. */
  call() {
    const {group, set, letter} = this;
    const {parts = [], steps} = set.groupings[letter] ?? {};
    if (group === undefined) this.name = "";
    else if (this.isRest) this.name = group;
    else if (steps?.[group - 1]) this.name = `${group} ${steps[group - 1]}`;
    else this.name = [group].flat().map((part, i) => partName(part, parts[i]?.bins)).join(" · ");
  }

  /** What it is called, beside others of one or of several expressions. */
  get label() {
    const {expressions} = this.set;
    if (!this.name) return expressions[this.letter] ?? this.letter;
    return Object.keys(expressions).length > 1 ? `${this.letter} · ${this.name}` : this.name;
  }

  /** Its last value, least, mean and greatest; NaN where there is none. */
  get summary() {
    let last = NaN, min = Infinity, max = -Infinity, sum = 0, count = 0;
    const {values} = this;
    for (let i = 0; i < this.set.count; i++) {
      const value = values[i];
      if (Number.isNaN(value)) continue;
      last = value;
      sum += value;
      count += 1;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    return count ? {last, min, max, sum, mean: sum / count, count} : {last, min: NaN, max: NaN, sum: NaN, mean: NaN, count};
  }
}

/** The series of some expressions ({A: text, B: …}) over one span of buckets. The bucket that is still open is
 * kept beyond ``count``, and shown once it is whole. */
export class SeriesSet {
  constructor({start, step, count, expressions, times = null}) {
    Object.assign(this, {start, step, count, expressions});
    this.times = times; // where buckets begin, and some later ones, where these are not equally long
    this.byKey = new Map();
    this.list = [];
    this.groupings = {}; // what the groups of each expression are, as bins.js tells
    this.units = {}; // by letter, where there are several
  }

  /** When a bucket begins. */
  edge = (index) => this.times?.[index] ?? this.start + index * this.step;

  get stop() {
    return this.edge(this.count);
  }

  /** The bucket that begins nearest to a time. */
  place(time) {
    if (!this.times) return Math.round((time - this.start) / this.step);
    let low = 0, high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.times[middle] + this.times[middle + 1]) / 2 < time) low = middle + 1;
      else high = middle;
    }
    return time < this.times[0] - this.step / 2 ? -1 : low;
  }

  /** The bucket that holds a time. */
  holding(time) {
    if (!this.times) return Math.floor((time - this.start) / this.step);
    return this.times.findLastIndex((edge) => edge <= time);
  }

  /** Take rows of an expression, shifted by some time; whether anything that is shown has changed. */
  take(letter, rows, shift = 0) {
    const known = this.list.length;
    let text = null, index = 0, isNews = false, isOpen = false;
    for (const row of rows) {
      if (row.time !== text) {
        text = row.time;
        index = this.place(Date.parse(text) + shift);
      }
      if (index < 0 || index > this.count) continue;
      const series = this.of(letter, row);
      const value = row.value ?? NaN;
      if (Object.is(series.values[index], value)) continue;
      series.values[index] = value;
      if (index === this.count) { // the bucket that is still open
        isOpen = true;
        continue;
      }
      series.dirty = isNews = true;
    }
    return isNews || this.list.length > known || (isOpen && this.isOnlyOpen);
  }

  of(letter, row) {
    const key = keyOf(letter, row);
    let series = this.byKey.get(key);
    if (!series) {
      series = new Series(this, letter, row, new Float64Array(this.count + 1).fill(NaN));
      this.byKey.set(key, series);
      series.number = series.isRest ? REST : this.list.length;
      this.list = [...this.byKey.values()].sort(inOrder);
    }
    return series;
  }

  /** Give out the colours once all is there: by the order, so that neighbours differ; without groups by the letter.
   * A group that comes later takes the next, and the others keep theirs. */
  settle() {
    for (const one of this.list) one.call();
    this.isGrouped = this.list.some(({name}) => name);
    this.list.forEach((one, place) => {
      one.number = one.isRest ? REST : this.isGrouped ? place : one.letter.charCodeAt(0) - 65;
    });
  }

  /** Take all rows of an expression anew: values and groups that are not among them are gone. */
  replace(letter, rows) {
    for (const series of this.list) if (series.letter === letter) series.values.fill(NaN);
    this.take(letter, rows);
    for (const series of this.list) if (series.letter === letter) series.dirty = true;
    this.drop();
  }

  /** Forget groups without any value. */
  drop() {
    const gone = this.list.filter(({group, values}) => group !== undefined && values.every(Number.isNaN));
    if (!gone.length) return;
    for (const {key} of gone) this.byKey.delete(key);
    this.list = this.list.filter((series) => !gone.includes(series));
  }

  /** Move on so that the last bucket is the last whole one at a time: what leaves the span is forgotten, groups that
   * were only there, too. */
  slideTo(now) {
    const by = this.times ? this.holding(now) - this.count : Math.round((floor(now, this.step) - this.start) / this.step) - this.count;
    if (by <= 0) return false;
    for (const series of this.list) {
      series.values.copyWithin(0, by);
      series.values.fill(NaN, Math.max(0, this.count + 1 - by));
      series.dirty = true;
    }
    this.times = this.times?.slice(by) ?? null;
    this.start = this.times?.[0] ?? this.start + by * this.step;
    this.drop();
    return true;
  }

  /** Whether more edges are to be asked for soon. */
  get isShort() {
    return this.times !== null && this.times.length < this.count + 10;
  }

  /** Take edges that come after those that are known. */
  extend(edges) {
    this.times = [...this.times, ...edges.filter((edge) => edge > this.times.at(-1))];
  }

  /** Whether all that there is lies in the bucket that is still open: whole ones have nothing, or zeros. */
  get isOnlyOpen() {
    const whole = ({values}) => values.subarray(0, this.count);
    return this.list.some(({values}) => values[this.count]) && this.list.every((one) => whole(one).every((value) => !value));
  }

  /** The series that are to be seen. */
  get shown() {
    return this.list.filter((series) => !series.hidden);
  }
}

/** By what the series of a row is known; the rest of a ranking is no group of that name. */
function keyOf(letter, {group, other}) {
  if (group === undefined) return letter;
  return other ? `${letter}:other` : `${letter}:${JSON.stringify(group)}`;
}

function partName(part, bins) {
  if (bins && typeof part === "number") return binName(bounds(bins, part));
  return typeof part === "string" ? part || "(empty)" : JSON.stringify(part);
}

function inOrder(a, b) {
  if (a.letter !== b.letter) return collator.compare(a.letter, b.letter);
  if (a.isRest !== b.isRest) return a.isRest - b.isRest; // the rest comes last
  const [ours, theirs] = [[a.group].flat(), [b.group].flat()];
  return ours.reduce((found, part, i) => found || partsInOrder(part, theirs[i]), 0);
}

function partsInOrder(a, b) {
  const [first, second] = [a, b].map((part) => KINDS.indexOf(typeof part));
  if (first !== second) return first - second;
  return typeof a === "number" ? a - b : collator.compare(a, b);
}
