// A heat map: a row of cells for each group. A group by a computed value, sum(request).group(floor(log2(ms))), is a
// distribution over time: its rows stand at their bounds, as on an axis.
import {edge, edgeText} from "./bins.js";
import {FONT, fit, timeAxis} from "./canvas.js";
import {PlotChart} from "./chart-plot.js";
import {scale, theme} from "./colours.js";
import {el} from "./dom.js";
import {number} from "./format.js";
import {nice, panelsOf} from "./heat-rows.js";
import {begin, holding} from "./time-scale.js";

const RIGHT = 14, HEAD = 40, BOTTOM = 24;
const LEAST_ROW = 4; // pixels
const HATCH = 9; // pixels between its lines
const LINE = 14; // pixels that a label takes
const MOST_IN_BOX = 12;
const FAINTEST = 2; // of the shades, for the least that is not 0

export class HeatChart extends PlotChart {
  constructor(host, kind, on) {
    super(host, kind, on);
    this.cell = el("div", {className: "cell", hidden: true});
    this.element.append(this.cell);
    // Before the crosshair moves, so that its box says which row is meant.
    this.element.addEventListener("pointermove", ({clientY}) => this.aim(clientY), {capture: true});
  }

  paint(canvas, width, height) {
    const context = fit(canvas, width, height);
    const panels = panelsOf(this.set, Math.max(1, (height - BOTTOM) / LEAST_ROW));
    const high = (height - BOTTOM) / Math.max(1, panels.length);
    context.font = FONT;
    const left = margin(context, panels, width);
    const {start, stop, step, count, expressions, edge, times} = this.set;
    const at = {left, width: Math.max(1, width - left - RIGHT), top: HEAD, height: height - BOTTOM - HEAD, start, stop, step, edge, times, count};
    timeAxis(context, at, this.options.zone, height - BOTTOM, height - BOTTOM + 4);
    panels.forEach((panel, i) => {
      Object.assign(panel, {top: i * high + HEAD, height: Math.max(1, high - HEAD - 2)});
      panel.shades = shadesOf(panel);
      hatch(context, panel, at);
      drawCells(context, panel, at, count);
      drawLabels(context, panel, left);
      drawHead(context, panel, at, Object.keys(expressions).length > 1 || !panel.bins ? expressions[panel.letter] : "");
    });
    return {...at, panels, seriesAt: (_, y) => rowAt(panels, y)};
  }

  aim(clientY) {
    this.marked = this.at ? rowAt(this.at.panels, clientY - this.element.getBoundingClientRect().top)?.key ?? null : null;
  }

  /** Tell that a bucket was picked, and the row that is meant. */
  pick(index, place) {
    const row = place.event ? this.seriesAt(index, place.event) : this.rows().find(({key}) => key === this.marked);
    this.onPick(index, row ?? null, place);
  }

  rows() {
    return this.at.panels.flatMap(({rows}) => rows.toReversed());
  }

  /** The rows with something in a bucket, and the one that is meant, from above; the greatest where they are many. */
  rowsAt(index) {
    const rows = this.rows().filter(({values, key}) => values[index] || key === this.marked && !Number.isNaN(values[index]));
    const least = rows.map(({values}) => Math.abs(values[index])).sort((a, b) => b - a)[MOST_IN_BOX - 1] ?? 0;
    const kept = rows.filter(({values, key}) => Math.abs(values[index]) > least || key === this.marked);
    for (const row of rows) if (kept.length < MOST_IN_BOX && !kept.includes(row)) kept.push(row);
    return rows.filter((row) => kept.includes(row));
  }

  more(index) {
    return this.rows().filter(({values}) => values[index]).length - this.rowsAt(index).filter(({values}) => values[index]).length;
  }

  markOf(row, index) {
    return this.at.panels.find(({letter}) => letter === row.letter).shades(row.values[index]);
  }

  hover(index) {
    super.hover(index);
    const row = index === null ? null : this.rows().find(({key}) => key === this.marked);
    this.cell.hidden = !row;
    if (!row) return;
    const panel = this.at.panels.find(({letter}) => letter === row.letter);
    const high = panel.height / panel.rows.length;
    const [from, to] = [index, index + 1].map((place) => this.at.left + begin(this.set, place) * this.at.width);
    const y = panel.top + (panel.rows.length - 1 - panel.rows.indexOf(row)) * high;
    this.cell.style.transform = `translate(${from}px, ${y}px)`;
    [this.cell.style.width, this.cell.style.height] = [`${Math.max(3, to - from)}px`, `${Math.max(3, high)}px`];
  }
}

function rowAt(panels, y) {
  const panel = panels.find(({top, height}) => y >= top && y < top + height);
  if (!panel) return null;
  return panel.rows[panel.rows.length - 1 - Math.floor(((y - panel.top) / panel.height) * panel.rows.length)] ?? null;
}

/** The colour of a value, by the square root, so that a few among many are still to be seen; null for none. */
function shadesOf({least, greatest}) {
  const {up, down} = scale();
  const most = Math.max(greatest, -least);
  return (value) => {
    if (Number.isNaN(value)) return null;
    const shades = value < 0 ? down : up;
    if (!value || !most) return shades[0];
    return shades[Math.min(shades.length - 1, FAINTEST + Math.floor(Math.sqrt(Math.abs(value) / most) * (shades.length - FAINTEST)))];
  };
}

/** Where no cell is drawn over it, nothing is known: as gaps are shown in horizons. */
function hatch(context, {top, height}, {left, width}) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.strokeStyle = theme().strong;
  context.beginPath();
  for (let x = left - height; x < left + width; x += HATCH) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}

function drawCells(context, {rows, shades, top, height}, at, count) {
  const high = height / Math.max(1, rows.length);
  const columns = Math.min(count, Math.floor(at.width)); // of a bucket, or of a pixel where these are fewer
  const share = (column) => columns === count ? begin(at, column) : column / columns;
  const firsts = Array.from({length: columns + 1}, (_, column) => columns === count ? column : holding(at, column, columns));
  rows.forEach(({values}, row) => {
    const [from, to] = [Math.round(top + height - (row + 1) * high), Math.round(top + height - row * high)];
    const gap = high > 10 ? 1 : 0;
    const tall = Math.max(1, to - from - gap);
    if (gap) context.clearRect(at.left, to - gap, at.width, gap);
    for (let i = 0; i < columns;) { // neighbours of one colour at once
      const shade = shades(strongest(values, firsts[i], firsts[i + 1]));
      const first = i;
      while (++i < columns && shades(strongest(values, firsts[i], firsts[i + 1])) === shade);
      if (shade === null) continue;
      const [left, right] = [first, i].map((column) => Math.round(at.left + share(column) * at.width));
      context.fillStyle = shade;
      context.fillRect(left, from, Math.max(1, right - left), tall);
    }
  });
}

/** The value that is farthest from 0 among the buckets that begin in a column, or of the one that goes through it. */
function strongest(values, first, stop) {
  let found = values[first];
  for (let i = first + 1; i < stop; i++) {
    if (!(Math.abs(found) >= Math.abs(values[i])) && !Number.isNaN(values[i])) found = values[i];
  }
  return found;
}

function margin(context, panels, width) {
  const most = Math.min(130, width * 0.3);
  const texts = panels.flatMap((panel) => labels(panel, 1).map(({text}) => text));
  return Math.ceil(Math.min(most, Math.max(36, ...texts.slice(0, 500).map((text) => context.measureText(text).width + 14))));
}

/** The labels beside the rows: of bins their bounds, between the rows, else their names. */
function labels({rows, bins, first, each}, every) {
  if (!bins) return rows.map(({name}, i) => ({text: name, at: i + 0.5})).filter((_, i) => i % every === 0);
  return Array.from({length: rows.length + 1}, (_, i) => ({text: edgeText(edge(bins, (first + i) * each)), at: i, number: first + i}))
    .filter((one) => one.number % every === 0);
}

function drawLabels(context, panel, left) {
  const high = panel.height / Math.max(1, panel.rows.length);
  const every = nice(LINE / high);
  context.fillStyle = theme().quiet;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const {text, at} of labels(panel, every)) {
    const y = panel.top + panel.height - at * high;
    context.fillText(cut(context, text, left - 12), left - 8, Math.min(panel.top + panel.height - 1, y));
    if (panel.bins) context.fillRect(left - 4, Math.round(y) - 0.5, 4, 1);
  }
}

/** Above the rows: what they are, and which colour is how much. */
function drawHead(context, panel, at, text) {
  const {up, down} = scale();
  const {least, greatest, top, bins} = panel;
  const most = Math.max(greatest, -least);
  const wide = Math.min(160, at.width * 0.4);
  const [left, y] = [at.left + at.width - wide, top - HEAD + 8];
  const bar = least < 0 ? [...down.toReversed(), ...up] : up;
  bar.forEach((shade, i) => {
    context.fillStyle = shade;
    const [from, to] = [i, i + 1].map((part) => Math.round(left + part * wide / bar.length));
    context.fillRect(from, y, to - from, 9);
  });
  context.fillStyle = theme().quiet;
  context.textBaseline = "top";
  const middle = Number((most / 4).toPrecision(2));
  const marks = least < 0 ? [[-most, "left", 0], [0, "center", 0.5]] : [[0, "left", 0], ...(most ? [[middle, "center", Math.sqrt(middle / most)]] : [])];
  if (most) marks.push([most, "right", 1]);
  for (const [value, align, part] of marks) {
    context.textAlign = align;
    context.fillText(number(value), left + part * wide, y + 12);
  }
  context.textAlign = "left";
  context.fillStyle = theme().ink;
  context.textBaseline = "middle";
  const words = [bins?.value, text].filter(Boolean).join(" · ");
  context.fillText(cut(context, words, at.width - wide - 16 + at.left - 12), 12, y + 8);
}

/** As much of a text as there is room for. */
function cut(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let kept = Math.max(1, Math.floor(text.length * room / context.measureText(text).width) - 1);
  while (kept > 1 && context.measureText(`${text.slice(0, kept)}…`).width > room) kept -= 1;
  return `${text.slice(0, kept)}…`;
}
