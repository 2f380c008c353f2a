// A chart of one canvas with axes, crosshair and a box of values: lines, areas, stacked areas and bars.
import {fit} from "./canvas.js";
import {colour} from "./colours.js";
import {el} from "./dom.js";
import {number, time} from "./format.js";
import {drawPanes, panesOf} from "./panes.js";
import {Pointer} from "./pointer.js";
import {middle} from "./time-scale.js";

const MOST_IN_BOX = 12;
const PANE = 12; // rem, at least, where the chart may grow

export class PlotChart {
  constructor(host, kind, {zoom, hover, pick = () => {}}) {
    Object.assign(this, {host, kind, onHover: hover, onPick: pick, set: null, marked: null});
    this.canvas = el("canvas", {role: "img", ariaLabel: `${kind} chart`});
    this.box = el("div", {className: "values", hidden: true});
    this.element = el("div", {className: "plot"}, this.canvas, this.box);
    this.element.setAttribute("aria-label", "Chart: arrows left and right move the crosshair, Shift and arrows choose a span, up and down a series, Enter shows the events or zooms");
    this.element.setAttribute("role", "group");
    host.replaceChildren(this.element);
    this.pointer = new Pointer(this.element, {
      plot: () => this.at, hover: (index) => this.hover(index), zoom,
      pick: (index, place) => this.pick(index, place), step: (by) => this.step(by),
    });
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(this.element);
  }

  show(set, options) {
    Object.assign(this, {set, options});
    const panes = !options.grows ? 1 : panesOf(set, options.scale).length;
    this.element.style.minHeight = panes > 1 ? `${PANE * panes}rem` : "";
    this.draw();
  }

  draw() {
    if (!this.set || !this.element.clientWidth) return;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    this.at = this.paint(this.canvas, width, height);
    const {shown, count, step} = this.set;
    this.canvas.setAttribute("aria-label", `${this.kind} chart of ${shown.length} series, ${count} bucket${count === 1 ? "" : "s"} of ${step / 1000} s`);
    this.pointer.show();
    if (this.pointer.index !== null && !this.pointer.isFollowing) this.hover(Math.min(this.pointer.index, count - 1));
  }

  paint(canvas, width, height) {
    return drawPanes(canvas, width, height, this.kind, this.set, this.options);
  }

  /** The chart as one canvas of its own, with a background. */
  picture() {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    const copy = el("canvas");
    this.paint(copy, width, height);
    return copy;
  }

  /** Show the crosshair at a bucket, as another chart has it. */
  point(index) {
    if (this.at) this.pointer.follow(index);
  }

  /** Tell that a bucket was picked: by a click the series that is drawn there, by a key the one that was stepped to. */
  pick(index, place) {
    const series = place.event ? this.seriesAt(index, place.event) : this.set.shown.find(({key}) => key === this.marked);
    this.onPick(index, series ?? null, place);
  }

  seriesAt(index, {clientY}) {
    const y = clientY - this.element.getBoundingClientRect().top;
    return this.at.seriesAt(index, y);
  }

  /** Mark the next series of those in the box, or the one before. */
  step(by) {
    const keys = this.rowsAt(this.pointer.index).map(({key}) => key);
    const place = keys.indexOf(this.marked);
    this.marked = keys[place < 0 ? (by > 0 ? 0 : keys.length - 1) : place + by] ?? null;
    this.hover(this.pointer.index);
  }

  /** The series that have a value in a bucket; where they are many, the greatest. */
  rowsAt(index) {
    const rows = this.set.shown.filter(({values}) => !Number.isNaN(values[index]));
    if (rows.length > MOST_IN_BOX) rows.sort((a, b) => b.values[index] - a.values[index]);
    return rows;
  }

  /** How many the box leaves out. */
  more(index) {
    return Math.max(0, this.rowsAt(index).length - MOST_IN_BOX);
  }

  markOf(series) {
    return colour(series.number);
  }

  hover(index) {
    this.onHover(index);
    this.box.hidden = index === null || !this.set;
    if (index === null) this.marked = null;
    if (this.box.hidden) return;
    const {step, edge} = this.set;
    const rows = this.rowsAt(index);
    const from = Math.max(0, rows.findIndex(({key}) => key === this.marked) - MOST_IN_BOX + 1);
    const lines = rows.slice(from, from + MOST_IN_BOX).map((series) => {
      const mark = el("i");
      mark.style.background = this.markOf(series, index);
      return el("div", {className: series.key === this.marked ? "marked" : ""}, mark, el("span", {textContent: series.label}), el("b", {textContent: number(series.values[index])}));
    });
    const more = this.more(index);
    this.box.replaceChildren(
      el("time", {textContent: time(edge(index), step, this.options.zone)}), ...lines,
      ...(rows.length ? [] : [el("span", {className: "quiet", textContent: "no value"})]),
      ...(more > 0 ? [el("span", {className: "quiet", textContent: `and ${more} more`})] : []));
    const x = this.at.left + middle(this.set, index) * this.at.width;
    const room = this.element.clientWidth - this.box.offsetWidth;
    const left = x + 14 > room ? x - this.box.offsetWidth - 14 : x + 14;
    this.box.style.transform = `translate(${Math.max(0, Math.min(room, left))}px, 12px)`;
  }

  close() {
    this.sized.disconnect();
    fit(this.canvas, 1, 1);
  }
}
