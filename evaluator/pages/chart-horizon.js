// Horizon charts: a row for each series, its values folded into four bands of ever stronger colour, what is below 0
// in another hue from above. A row is drawn only when it changed and is in sight, and never more in a frame than fits.
import {fit, timeAxis} from "./canvas.js";
import {theme} from "./colours.js";
import {el} from "./dom.js";
import {number, time} from "./format.js";
import {Pointer} from "./pointer.js";

const BANDS = 4;
const ROW = 30;
const FRAME_MILLISECONDS = 8; // of drawing in one frame of 16

export class HorizonChart {
  constructor(host, kind, {zoom, hover, pick = () => {}}) {
    Object.assign(this, {host, onHover: hover, onPick: pick, set: null, rows: new Map(), pending: 0, marked: null});
    this.axis = el("canvas", {className: "axis", role: "presentation"});
    this.when = el("time", {className: "when"});
    this.list = el("div", {className: "rows", role: "list"});
    this.element = el("div", {className: "horizon"}, this.list, this.axis, this.when);
    this.element.setAttribute("aria-label", "Horizon charts: arrows left and right move the crosshair, Shift and arrows choose a span, up and down a row, Enter shows the events or zooms");
    this.element.setAttribute("role", "group");
    host.replaceChildren(this.element);
    const plot = () => ({left: 0, width: this.list.clientWidth, start: this.set.start, stop: this.set.stop, step: this.set.step});
    this.pointer = new Pointer(this.element, {
      plot, hover: (index) => this.hover(index), zoom, pick: (index, place) => this.pick(index, place), step: (by) => this.step(by),
    });
    this.seen = new IntersectionObserver((entries) => this.sight(entries), {rootMargin: "100px"});
    this.sized = new ResizeObserver(() => this.dirty());
    this.sized.observe(this.element);
  }

  show(set, options) {
    const isOther = set !== this.set;
    Object.assign(this, {set, options});
    if (isOther) this.clear();
    this.arrange();
    this.drawAxis();
    this.schedule();
    if (this.pointer.index !== null && !this.pointer.isFollowing) this.hover(this.pointer.index);
    else this.values(this.pointer.index);
  }

  clear() {
    this.marked = null;
    this.seen.disconnect();
    this.rows.clear();
    this.list.replaceChildren();
  }

  /** Make rows for new series, and put all into their order. */
  arrange() {
    const shown = this.set.shown;
    const keys = new Set(shown.map(({key}) => key));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      this.seen.unobserve(row.element);
      row.element.remove();
      this.rows.delete(key);
    }
    shown.forEach((series, place) => {
      let row = this.rows.get(series.key);
      if (!row) this.rows.set(series.key, (row = this.row(series)));
      if (this.list.children[place] !== row.element) this.list.insertBefore(row.element, this.list.children[place] ?? null);
    });
  }

  row(series) {
    const row = {series, inSight: false, dirty: true};
    row.canvas = el("canvas", {role: "presentation"});
    row.value = el("b");
    row.element = el("div", {className: "row", role: "listitem"}, row.canvas, el("span", {textContent: series.label}), row.value);
    row.element.row = row;
    this.seen.observe(row.element);
    return row;
  }

  sight(entries) {
    for (const {target, isIntersecting} of entries) target.row.inSight = isIntersecting;
    this.schedule();
    this.values(this.pointer.index);
  }

  dirty() {
    for (const row of this.rows.values()) row.dirty = true;
    if (this.set) this.drawAxis();
    this.schedule();
    this.pointer.index !== null && this.pointer.show();
  }

  /** Redraw what changed in the next frames. */
  schedule() {
    this.pending ||= requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.pending = 0;
    const until = performance.now() + FRAME_MILLISECONDS;
    const width = this.list.clientWidth;
    for (const row of this.rows.values()) {
      if (!row.inSight || !(row.dirty || row.series.dirty)) continue;
      if (performance.now() > until) return this.schedule();
      drawRow(fit(row.canvas, width, ROW), row.series.values, this.set.count, width, ROW);
      row.dirty = row.series.dirty = false;
    }
  }

  drawAxis() {
    const width = this.list.clientWidth;
    if (!width) return;
    const {start, stop, step} = this.set;
    timeAxis(fit(this.axis, width, 28), {left: 0, width, start, stop, step}, this.options.zone, 0, 5);
  }

  /** Show the crosshair at a bucket, as another chart has it. */
  point(index) {
    if (!this.set) return;
    this.pointer.follow(index);
    this.values(index);
  }

  /** Tell that a bucket was picked: by a click of the row there, by a key of the one that was stepped to. */
  pick(index, place) {
    const at = place.event && document.elementsFromPoint(place.x, place.y).find((element) => element.row);
    const row = place.event ? at?.row : this.marked;
    this.onPick(index, row?.series ?? null, place);
  }

  /** Mark the next row, or the one before. */
  step(by) {
    const rows = [...this.list.children].map(({row}) => row);
    const place = rows.indexOf(this.marked);
    this.mark(rows[place < 0 ? (by > 0 ? 0 : rows.length - 1) : place + by] ?? null);
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
      this.when.textContent = time(this.set.start + index * this.set.step, this.set.step, this.options.zone);
      const room = this.element.clientWidth - this.when.offsetWidth;
      const x = ((index + 0.5) / this.set.count) * this.list.clientWidth - this.when.offsetWidth / 2;
      this.when.style.transform = `translateX(${Math.max(0, Math.min(room, x))}px)`;
    }
    this.values(index);
  }

  /** Show each row's value at the crosshair, or its last. */
  values(index) {
    for (const {series, value, inSight} of this.rows.values()) {
      if (!inSight) continue;
      const text = number(series.values[index ?? this.set.count - 1]);
      if (value.textContent !== text) value.textContent = text;
    }
  }

  picture() {
    const [width, rows] = [this.list.clientWidth, [...this.rows.values()]];
    const copy = el("canvas");
    const context = fit(copy, width, rows.length * (ROW + 1) + 28);
    rows.forEach(({series}, i) => {
      context.save();
      context.translate(0, i * (ROW + 1));
      drawRow(context, series.values, this.set.count, width, ROW);
      context.fillStyle = theme().ink;
      context.font = "12px system-ui, sans-serif";
      context.fillText(series.label, 8, ROW / 2 + 4);
      context.restore();
    });
    const {start, stop, step} = this.set;
    context.translate(0, rows.length * (ROW + 1));
    timeAxis(context, {left: 0, width, start, stop, step}, this.options.zone, 0, 5);
    return copy;
  }

  close() {
    cancelAnimationFrame(this.pending);
    this.seen.disconnect();
    this.sized.disconnect();
  }
}

/** Draw values as bands: each column is filled by the band below its value, and above by what reaches into its own. */
export function drawRow(context, values, count, width, height) {
  const {up, down} = theme();
  let greatest = 0;
  for (let i = 0; i < count; i++) if (Math.abs(values[i]) > greatest) greatest = Math.abs(values[i]);
  if (!greatest) return;
  const each = width / count;
  for (let i = 0; i < count; i++) {
    const value = values[i];
    if (!value || Number.isNaN(value)) continue;
    const bands = value > 0 ? up : down;
    const size = Math.min(BANDS, (Math.abs(value) / greatest) * BANDS);
    const band = Math.min(BANDS - 1, Math.floor(size));
    const part = (size - band) * height;
    const [left, right] = [Math.round(i * each), Math.round((i + 1) * each)];
    const wide = Math.max(1, right - left);
    if (band > 0) {
      context.fillStyle = bands[band - 1];
      context.fillRect(left, 0, wide, height);
    }
    context.fillStyle = bands[band];
    context.fillRect(left, value > 0 ? height - part : 0, wide, part);
  }
}
