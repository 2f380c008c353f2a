// A heat map: a row of cells for each series (a group by a computed value is a distribution over time).
import {FONT, fit, timeAxis} from "./canvas.js";
import {theme} from "./colours.js";

const LEFT = 110, RIGHT = 10, TOP = 10, BOTTOM = 24;

/** Draw the shown series of a set as rows of cells, the greatest group above; returns the plot. */
export function drawHeat(canvas, width, height, kind, set, {zone} = {}) {
  const context = fit(canvas, width, height);
  const rows = set.shown.toReversed();
  const at = {
    left: LEFT, top: TOP, width: Math.max(1, width - LEFT - RIGHT), height: height - TOP - BOTTOM,
    start: set.start, stop: set.stop, step: set.step,
  };
  timeAxis(context, at, zone, at.top + at.height, at.top + at.height + 4);
  const greatest = Math.max(...rows.map((series) => series.summary.max).filter((value) => value > 0), 0);
  const [each, high] = [at.width / set.count, at.height / Math.max(1, rows.length)];
  rows.forEach((series, row) => cells(context, at, series.values, set.count, greatest, each, high, row));
  names(context, rows, high);
  return at;
}

function cells(context, at, values, count, greatest, each, high, row) {
  const shades = scale();
  const [top, bottom] = [Math.round(at.top + row * high), Math.round(at.top + (row + 1) * high)];
  for (let i = 0; i < count; i++) {
    if (!(values[i] > 0)) continue;
    // By the square root: a few among many are still to be seen.
    context.fillStyle = shades[Math.min(shades.length - 1, Math.floor(Math.sqrt(values[i] / greatest) * shades.length))];
    const [left, right] = [Math.round(at.left + i * each), Math.round(at.left + (i + 1) * each)];
    context.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top - (high > 6 ? 1 : 0)));
  }
}

/** Sixteen colours, from the paper's to the strongest. */
function scale() {
  const stops = [theme().line, ...theme().up];
  return Array.from({length: 16}, (_, i) => {
    const place = (i / 15) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place));
    return mix(stops[low], stops[low + 1], place - low);
  });
}

function mix(from, to, share) {
  const part = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  return `rgb(${[0, 1, 2].map((i) => Math.round(part(from, i) + (part(to, i) - part(from, i)) * share)).join(" ")})`;
}

function names(context, rows, high) {
  const every = Math.max(1, Math.ceil(16 / high));
  context.font = FONT;
  context.fillStyle = theme().quiet;
  context.textAlign = "right";
  context.textBaseline = "middle";
  rows.forEach((series, row) => {
    if (row % every) return;
    const text = series.name || series.label;
    context.fillText(text.length > 15 ? `${text.slice(0, 14)}…` : text, LEFT - 8, TOP + (row + 0.5) * high);
  });
}
