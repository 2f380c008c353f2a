// What a pointer or the keyboard does over a chart: a crosshair, a span chosen by dragging (or Shift and arrows), and a
// bucket picked by a click (or Enter), of the series under it.
import {el} from "./dom.js";
import {begin, holding, middle} from "./time-scale.js";

/** Follow pointer and keys over an element.
 * plot(): {left, width, count, times, edge} of the plot inside it, in CSS pixels and milliseconds; nothing until it is drawn.
 * hover(index or null): the bucket under the crosshair. zoom({start, stop}): a span was chosen.
 * pick(index, place): a bucket was, at {x, y} of the window; place.event: by this click, null: by Enter.
 * step(by): the series before or after the present one is meant; called while there is a crosshair. */
export class Pointer {
  constructor(host, {plot, hover, zoom, pick, step}) {
    Object.assign(this, {host, plot, hover, zoom, pick, step, index: null, from: null, isFollowing: false});
    this.hair = el("div", {className: "hair", hidden: true});
    this.band = el("div", {className: "band", hidden: true});
    host.append(this.band, this.hair);
    host.tabIndex = 0;
    const on = (name, work) => host.addEventListener(name, (event) => this.plot() && work(event)); // nothing is drawn at first
    on("pointermove", (event) => this.move(event));
    on("pointerdown", (event) => this.down(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", () => this.clear());
    on("pointerleave", (event) => this.from === null && this.leave(event));
    on("keydown", (event) => this.key(event));
    on("blur", (event) => this.leave(event));
  }

  at(event) {
    const plot = this.plot();
    if (!plot) return null; // nothing is drawn yet
    const {left, width, count} = plot;
    const x = event.clientX - this.host.getBoundingClientRect().left - left;
    if (this.from === null && (x < 0 || x > width)) return null;
    return Math.max(0, Math.min(count - 1, holding(plot, x, width)));
  }

  move(event) {
    this.to(this.at(event));
  }

  to(index) {
    this.index = index;
    this.isFollowing = false;
    this.show();
    this.hover(index);
  }

  /** Show the crosshair where it is in another chart, and tell nobody. */
  follow(index) {
    this.index = index;
    this.isFollowing = true;
    this.show();
  }

  down(event) {
    const index = this.at(event);
    if (event.button !== 0 || index === null) return;
    if (event.pointerType !== "touch") event.preventDefault();
    this.host.focus({preventScroll: true});
    this.from = index;
    this.host.setPointerCapture(event.pointerId);
    this.to(index);
  }

  up(event) {
    const {from, index} = this;
    this.from = null;
    if (from === null) return;
    if (from === index) this.pick(index, {x: event.clientX, y: event.clientY, event});
    else this.choose(from, index);
    if (event.pointerType === "touch") this.clear();
    else this.show();
  }

  choose(from, to) {
    const {edge} = this.plot();
    this.clear();
    this.zoom({start: edge(Math.min(from, to)), stop: edge(Math.max(from, to) + 1)});
  }

  key(event) {
    const {count} = this.plot() ?? {};
    if (!count) return;
    const far = event.altKey ? Math.ceil(count / 20) : 1;
    const next = {ArrowLeft: (this.index ?? count) - far, ArrowRight: (this.index ?? -1) + far, Home: 0, End: count - 1}[event.key];
    if (next !== undefined) {
      if (event.shiftKey) this.from ??= this.index ?? next;
      else this.from = null;
      this.to(Math.max(0, Math.min(count - 1, next)));
    } else if (event.key === "Enter" && this.index !== null) this.enter();
    else if (event.key === "ArrowUp" && this.index !== null) this.step(-1);
    else if (event.key === "ArrowDown" && this.index !== null) this.step(1);
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
  }

  /** Zoom into the span that is chosen, or pick the bucket. */
  enter() {
    if (this.from !== null && this.from !== this.index) return this.choose(this.from, this.index);
    const {left, bottom} = this.hair.getBoundingClientRect();
    this.pick(this.index, {x: left, y: Math.min(bottom, innerHeight) - 40, event: null});
  }

  /** The crosshair stays while what is behind it is offered. */
  leave({relatedTarget}) {
    if (!relatedTarget?.closest?.(".behind")) this.clear();
  }

  clear() {
    this.from = null;
    this.to(null);
  }

  /** Put the crosshair and the chosen span where they belong. */
  show() {
    const plot = this.plot();
    this.hair.hidden = this.index === null || !plot;
    this.band.hidden = this.hair.hidden || this.from === null || this.from === this.index;
    if (!this.hair.hidden) this.hair.style.transform = `translateX(${plot.left + middle(plot, this.index) * plot.width}px)`;
    if (this.band.hidden) return;
    const [low, high] = [Math.min(this.from, this.index), Math.max(this.from, this.index) + 1];
    const [from, to] = [low, high].map((index) => begin(plot, index) * plot.width);
    this.band.style.transform = `translateX(${plot.left + from}px)`;
    this.band.style.width = `${to - from}px`;
  }
}
