// Lines, areas, stacked areas and bars: how series are drawn into a plot. A gap in the values is a gap in the drawing.
import {colour, dashes, theme} from "./colours.js";
import {axes, extent, fit, frame} from "./canvas.js";

const NEAR = 24; // pixels from a line at which it is meant

/** Draw the shown series of a set in one of these kinds, and those of an earlier span behind them; returns the plot, whose
 * seriesAt(index, y) is the series that is drawn at a bucket and height, or null. */
export function drawLines(canvas, width, height, kind, set, {before = null, zone, hasTimes = true} = {}) {
  const series = set.shown;
  const isStacked = kind === "stacked" || kind === "bars";
  const layers = isStacked ? stack(series, set.count) : series.map(({values}) => ({values}));
  const found = before ? series.map((one) => before.byKey.get(one.key) ?? {values: new Float64Array(set.count).fill(NaN)}) : [];
  const earlier = isStacked ? stack(found, set.count).slice(-1) : found; // of a stack its whole height
  const at = frame(set, width, height, range(layers, earlier, set.count, kind !== "line"));
  const context = fit(canvas, width, height);
  axes(context, at, zone, hasTimes);
  context.save();
  context.beginPath();
  context.rect(at.left, 0, at.width, height);
  context.clip();
  context.lineJoin = "round";
  series.forEach((one, i) => DRAW[kind](context, at, layers[i], set.count, one.number));
  earlier.forEach((one, i) => line(context, at, one.values, set.count, isStacked ? theme().ink : colour(series[i].number), [3, 3], 1.25));
  context.restore();
  const place = isStacked ? (index, y) => holding(layers, at, index, y) : (index, y) => nearest(layers, at, index, y);
  return {...at, seriesAt: (index, y) => series[place(index, y)] ?? null};
}

/** Which line is nearest to a point, and near; -1: none. */
function nearest(layers, at, index, y) {
  let found = -1, least = NEAR;
  layers.forEach(({values}, i) => {
    const far = Math.abs(at.y(values[index]) - y);
    if (far < least) [found, least] = [i, far];
  });
  return found;
}

/** Which layer of a stack holds a point; -1: none. */
function holding(layers, at, index, y) {
  return layers.findIndex(({values, base}) => {
    const [from, to] = [at.y(base[index]), at.y(values[index])];
    return y >= Math.min(from, to) && y <= Math.max(from, to);
  });
}

const DRAW = {
  line: (context, at, {values}, count, number) => line(context, at, values, count, colour(number), dashes(number), 1.75),
  area(context, at, {values}, count, number) {
    fill(context, at, values, null, count, colour(number), 0.18);
    line(context, at, values, count, colour(number), dashes(number), 1.75);
  },
  stacked: (context, at, {values, base}, count, number) => fill(context, at, values, base, count, colour(number), 0.78),
  bars(context, at, {values, base}, count, number) {
    const gap = at.each > 4 ? Math.min(3, at.each * 0.2) : 0; // one for all, so that the bars of longer buckets are wider
    context.fillStyle = colour(number);
    for (let i = 0; i < count; i++) {
      if (Number.isNaN(values[i])) continue;
      const [from, to] = [at.y(base[i]), at.y(values[i])];
      const [left, right] = [at.from(i), at.from(i + 1)];
      context.fillRect(left + gap / 2, Math.min(from, to), Math.max(1, right - left - gap), Math.abs(to - from));
    }
  },
};

/** Values one above the other, what is below 0 downwards; a value that is missing takes no room. */
function stack(series, count) {
  const above = new Float64Array(count), below = new Float64Array(count);
  return series.map(({values}) => {
    const base = new Float64Array(count), top = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const side = values[i] < 0 ? below : above;
      base[i] = side[i];
      top[i] = side[i] + values[i];
      if (!Number.isNaN(values[i])) side[i] = top[i];
    }
    return {values: top, base};
  });
}

function range(layers, earlier, count, withZero) {
  let low = Infinity, high = -Infinity;
  for (const one of [...layers, ...earlier]) {
    for (let i = 0; i < count; i++) {
      const value = one.values[i];
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return extent(low, high, withZero);
}

/** Call for each run [from, to) of values without a gap. */
function runs(values, count, work) {
  for (let i = 0; i < count; i++) {
    if (Number.isNaN(values[i])) continue;
    const from = i;
    while (i < count && !Number.isNaN(values[i])) i++;
    work(from, i);
  }
}

/** Lines through the values [from, to); where a pixel holds several, through its least and greatest only. */
function trace(context, at, values, from, to) {
  const many = Math.max(1, Math.floor(1 / at.each));
  for (let i = from; i < to; i += many) {
    const end = Math.min(to, i + many);
    let low = i, high = i;
    for (let j = i + 1; j < end; j++) {
      if (values[j] < values[low]) low = j;
      if (values[j] > values[high]) high = j;
    }
    const [first, second] = low < high ? [low, high] : [high, low];
    context.lineTo(at.x(first), at.y(values[first]));
    if (second !== first) context.lineTo(at.x(second), at.y(values[second]));
  }
  context.lineTo(at.x(to - 1), at.y(values[to - 1]));
}

function line(context, at, values, count, style, dash, width) {
  context.strokeStyle = context.fillStyle = style;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  runs(values, count, (from, to) => {
    if (to - from === 1) return context.fillRect(at.x(from) - 1.5, at.y(values[from]) - 1.5, 3, 3);
    context.moveTo(at.x(from), at.y(values[from]));
    trace(context, at, values, from, to);
  });
  context.stroke();
  context.setLineDash([]);
}

function fill(context, at, values, base, count, style, alpha) {
  context.fillStyle = style;
  context.globalAlpha = alpha;
  const foot = (i) => at.y(base ? base[i] : 0);
  runs(values, count, (from, to) => {
    context.beginPath();
    context.moveTo(at.x(from) - (to - from === 1 ? 1 : 0), foot(from));
    trace(context, at, values, from, to);
    if (to - from === 1) context.lineTo(at.x(from) + 1, at.y(values[from]));
    for (let i = to - 1; i >= from; i--) context.lineTo(at.x(i) + (to - from === 1 ? 1 : 0), foot(i));
    context.fill();
  });
  context.globalAlpha = 1;
}
