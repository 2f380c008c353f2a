// Expressions of other units in one chart: each unit has a pane of its own, with its own scale, and all share the time.
// A count of hundreds beside a share of one would make a flat line of the share.
import {FONT, fit} from "./canvas.js";
import {drawLines} from "./chart-lines.js";
import {theme} from "./colours.js";

const APART = 10; // so many times as great, expressions of other units have panes of their own
const TIMES = 24; // pixels of the axis of time, which is below the last pane
const TITLE = 16; // pixels of a pane's name, above it

/** The series that are shown, by pane: each expression's alone (scale "each"), all in one ("one"), or, unless either is
 * wanted, by their units where these differ and their values are far apart. */
export function panesOf(set, scale) {
  const letters = [...new Set(set.shown.map(({letter}) => letter))];
  const isApart = scale === "each" || (scale !== "one" && areApart(set, letters));
  if (!isApart || letters.length < 2) return [set.shown];
  const panes = new Map();
  for (const series of set.shown) {
    const name = scale === "each" ? series.letter : unitOf(set, series.letter);
    if (!panes.has(name)) panes.set(name, []);
    panes.get(name).push(series);
  }
  return [...panes.values()];
}

/** What an expression's values are, by its reductions: "" are events, a field's text what is made of that field. */
export function unitIn(text, reductions) {
  const [one, ...others] = reductions;
  if (!one || others.length || /[-+*/]/.test(text.replace(one.expression, ""))) return text;
  return text.startsWith("distinct") ? text : one.value ?? "";
}

/** Whether it is to be seen what is drawn only in panes; decided once for a set, so that nothing jumps. */
function areApart(set, letters) {
  const key = letters.join();
  set.apart ??= new Map();
  if (!set.apart.has(key)) set.apart.set(key, decide(set, letters));
  return set.apart.get(key);
}

function decide(set, letters) {
  if (new Set(letters.map((letter) => unitOf(set, letter))).size < 2) return false;
  const sizes = letters.map((letter) => set.shown.reduce((most, series) => {
    const {min, max} = series.summary;
    return series.letter === letter ? Math.max(most, Math.abs(min) || 0, Math.abs(max) || 0) : most;
  }, 0)).filter(Boolean);
  return Math.max(...sizes) >= APART * Math.min(...sizes);
}

function unitOf(set, letter) {
  return set.units?.[letter] ?? set.expressions[letter];
}

/** Draw panes one above the other; returns the plot, whose seriesAt finds a series in any of them. */
export function drawPanes(canvas, width, height, kind, set, options) {
  const panes = panesOf(set, options.scale);
  if (panes.length === 1) return drawLines(canvas, width, height, kind, set, options);
  const context = fit(canvas, width, height);
  const each = Math.floor((height - TIMES) / panes.length);
  const plots = panes.map((shown, i) => {
    const isLast = i === panes.length - 1;
    const drawn = document.createElement("canvas");
    const {count, start, stop, step, edge, times} = set;
    const plot = drawLines(drawn, width, each - TITLE + TIMES, kind, {shown, count, start, stop, step, edge, times}, {...options, hasTimes: isLast});
    context.drawImage(drawn, 0, i * each + TITLE, width, each - TITLE + TIMES);
    title(context, plot, i * each + TITLE / 2, shown);
    return plot;
  });
  const place = (y) => Math.min(panes.length - 1, Math.floor(y / each));
  return {...plots[0], seriesAt: (index, y) => plots[place(y)].seriesAt(index, y - place(y) * each - TITLE)};
}

function title(context, plot, top, shown) {
  const texts = [...new Set(shown.map(({letter, set}) => set.expressions[letter]))];
  context.font = FONT;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillStyle = theme().quiet;
  context.fillText(texts.join(", "), plot.left, top, plot.width);
}
