// Horizon charts: a row for each series. Ten rows share a canvas, and in one frame those of one canvas are drawn: so a
// hundred that change at once take no frame for long. What did not change, or is not in sight, is not drawn.
import {drawBands} from "./bands.js";
import {FONT, fit, timeAxis} from "./canvas.js";
import {theme} from "./colours.js";
import {el} from "./dom.js";
import {number, percent, time} from "./format.js";
import {Pointer} from "./pointer.js";
import {middle} from "./time-scale.js";

const ROW = 30; // CSS pixels, and one for the line below
const ROWS = 10; // of a canvas
const AXIS = 28;

export class HorizonChart {
  constructor(host, kind, {zoom, hover, pick = () => {}}) {
    Object.assign(this, {host, onHover: hover, onPick: pick, set: null, rows: [], tiles: [], drawn: {}, pending: 0, marked: null});
    this.axis = el("canvas", {className: "axis", role: "presentation"});
    this.when = el("time", {className: "when"});
    this.bands = el("div", {className: "bands", ariaHidden: "true"});
    this.list = el("div", {className: "rows", role: "list"});
    this.element = el("div", {className: "horizon"}, el("div", {className: "stage"}, this.bands, this.list), this.axis, this.when);
    this.element.setAttribute("aria-label", "Horizon charts: arrows left and right move the crosshair, Shift and arrows choose a span, up and down a row, Enter shows the events or zooms");
    this.element.setAttribute("role", "group");
    host.replaceChildren(this.element);
    const plot = () => this.set && ({left: 0, width: this.list.clientWidth, count: this.set.count, times: this.set.times, edge: this.set.edge});
    this.pointer = new Pointer(this.element, {
      plot, hover: (index) => this.hover(index), zoom, pick: (index, place) => this.pick(index, place), step: (by) => this.step(by),
    });
    this.seen = new IntersectionObserver((entries) => this.sight(entries), {rootMargin: "100px"});
    this.sized = new ResizeObserver(() => this.dirty());
    this.sized.observe(this.element);
  }

  show(set, options) {
    const isOther = set !== this.set || options.before !== this.options?.before;
    Object.assign(this, {set, options});
    this.arrange(isOther);
    if (this.drawn.theme !== theme()) this.dirty();
    this.drawAxis();
    this.schedule();
    if (this.pointer.index !== null && !this.pointer.isFollowing) this.hover(this.pointer.index);
  }

  /** Make rows for the series that are shown, in their order, where these are others than before. */
  arrange(isOther) {
    const shown = this.set.shown;
    if (!isOther && shown.length === this.rows.length && shown.every((series, i) => series === this.rows[i].series)) return;
    this.marked = null;
    this.rows = shown.map((series) => this.row(series));
    this.list.replaceChildren(...this.rows.map(({element}) => element));
    while (this.tiles.length * ROWS > this.rows.length + ROWS - 1) this.seen.unobserve(this.tiles.pop());
    while (this.tiles.length * ROWS < this.rows.length) this.tiles.push(this.tile());
    this.bands.replaceChildren(...this.tiles);
  }

  row(series) {
    const value = el("b");
    const element = el("div", {className: "row", role: "listitem"}, el("span", {textContent: series.label}), value);
    const row = {series, element, value, dirty: true, earlier: this.options.before?.byKey.get(series.key) ?? null};
    element.row = row;
    return row;
  }

  tile() {
    const canvas = el("canvas");
    canvas.style.height = `${ROWS * (ROW + 1)}px`;
    this.seen.observe(canvas);
    return canvas;
  }

  sight(entries) {
    for (const {target, isIntersecting} of entries) target.inSight = isIntersecting;
    this.schedule();
  }

  dirty() {
    for (const row of this.rows) row.dirty = true;
    this.drawn = {};
    if (this.set) this.drawAxis();
    this.schedule();
    this.pointer.index !== null && this.pointer.show();
  }

  /** Redraw what changed in the next frames. */
  schedule() {
    this.pending ||= requestAnimationFrame(() => this.frame());
  }

  /** Draw the first canvas in sight that has changed; the others follow in the next frames. */
  frame() {
    this.pending = 0;
    const changed = this.tiles.filter((tile, i) => tile.inSight && this.of(i).some(hasChanged));
    if (changed.length) this.drawTile(this.tiles.indexOf(changed[0]));
    if (changed.length > 1) this.schedule();
  }

  /** The rows of a canvas. */
  of(tile) {
    return this.rows.slice(tile * ROWS, (tile + 1) * ROWS);
  }

  drawTile(place) {
    const [canvas, width] = [this.tiles[place], this.list.clientWidth];
    if (!width) return;
    const isNew = canvas.seenWidth !== width || this.of(place).some(({dirty}) => dirty);
    canvas.seenWidth = width;
    const context = isNew ? fit(canvas, width, ROWS * (ROW + 1)) : canvas.getContext("2d");
    this.of(place).forEach((row, i) => {
      if (isNew || hasChanged(row)) this.drawRow(context, row, i, width);
    });
    this.values(this.pointer.index, this.of(place));
  }

  drawRow(context, row, place, width) {
    const ratio = context.canvas.width / width;
    const size = {width: context.canvas.width, height: Math.round(ROW * ratio), ratio};
    drawBands(context, Math.round(place * (ROW + 1) * ratio), size, row.series.values, this.set, row.earlier?.values);
    row.dirty = row.series.dirty = false;
    if (row.earlier) row.earlier.dirty = false;
  }

  /** Draw the axis of time, unless it is the same. */
  drawAxis() {
    const width = this.list.clientWidth;
    const {start, stop, step, times, count} = this.set;
    const axis = [width, start, stop, this.options.zone].join();
    if (!width || axis === this.drawn.axis) return;
    this.drawn = {axis, theme: theme()};
    timeAxis(fit(this.axis, width, AXIS), {left: 0, width, start, stop, step, times, count}, this.options.zone, 0, 5);
  }

  /** Show the crosshair at a bucket, as another chart has it. */
  point(index) {
    if (!this.set) return;
    this.pointer.follow(index);
    this.values(index, this.rows);
  }

  /** Tell that a bucket was picked: by a click of the row there, by a key of the one that was stepped to. */
  pick(index, place) {
    const at = place.event && document.elementsFromPoint(place.x, place.y).find((element) => element.row);
    const row = place.event ? at?.row : this.marked;
    this.onPick(index, row?.series ?? null, place);
  }

  /** Mark the next row, or the one before. */
  step(by) {
    const place = this.rows.indexOf(this.marked);
    this.mark(this.rows[place < 0 ? (by > 0 ? 0 : this.rows.length - 1) : place + by] ?? null);
    this.marked?.element.scrollIntoView({block: "nearest"});
  }

  mark(row) {
    this.marked?.element.classList.remove("marked");
    row?.element.classList.add("marked");
    this.marked = row;
  }

  hover(index) {
    this.onHover(index);
    if (index === null) this.mark(null);
    this.when.hidden = index === null;
    if (index !== null) {
      this.when.textContent = time(this.set.edge(index), this.set.step, this.options.zone);
      const room = this.element.clientWidth - this.when.offsetWidth;
      const x = middle(this.set, index) * this.list.clientWidth - this.when.offsetWidth / 2;
      this.when.style.transform = `translateX(${Math.max(0, Math.min(room, x))}px)`;
    }
    this.values(index, this.rows);
  }

  /** Show rows' values at the crosshair, or their last, and by how much they are more than before. */
  values(index, rows) {
    for (const {series, value, earlier} of rows) {
      const place = index ?? this.set.count - 1;
      const [now, then] = [series.values[place], earlier?.values[place]];
      const text = earlier ? `${number(now)} ${percent((now - then) / Math.abs(then))}` : number(now);
      if (value.textContent !== text) value.textContent = text;
    }
  }

  picture() {
    const width = this.list.clientWidth;
    const copy = el("canvas");
    const context = fit(copy, width, this.rows.length * (ROW + 1) + AXIS);
    this.rows.forEach((row, i) => {
      this.drawRow(context, row, i, width);
      context.fillStyle = theme().ink;
      context.font = FONT;
      context.fillText(row.series.label, 8, i * (ROW + 1) + ROW / 2 + 4);
    });
    const {start, stop, step, times, count} = this.set;
    context.translate(0, this.rows.length * (ROW + 1));
    timeAxis(context, {left: 0, width, start, stop, step, times, count}, this.options.zone, 0, 5);
    return copy;
  }

  close() {
    cancelAnimationFrame(this.pending);
    this.seen.disconnect();
    this.sized.disconnect();
  }
}

function hasChanged({dirty, series, earlier}) {
  return dirty || series.dirty || Boolean(earlier?.dirty);
}
