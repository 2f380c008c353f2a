// One chart of a board: its question asked when it is first in sight, drawn, kept up, and its crosshair shared.
import {chartIn} from "./chart.js";
import {PanelLegend} from "./board-legend.js";
import {nameOf, question} from "./board-model.js";
import {substituted} from "./board-text.js";
import {el, tell} from "./dom.js";
import {ask, wanted} from "./query.js";
import {ONLY_OPEN} from "./series.js";

const SETTLED = 250; // milliseconds after the last change of its size
const TELLING = 500; // milliseconds between two updates of the legend by live rows
const OWN_VALUES = ["horizon", "heat", "number", "table"]; // kinds that show the names and values themselves

export class Panel {
  /** board: {values(), query(), hover(panel, time or null), zoom(span), pick(set, index, series, place)}. */
  constructor(board) {
    this.board = board;
    this.title = el("h2");
    this.explore = el("a", {className: "tool", textContent: "Explore"});
    this.actions = el("div", {className: "actions"});
    this.host = el("div", {className: "chart"});
    this.problem = el("p", {className: "error", role: "alert", hidden: true});
    this.legend = new PanelLegend();
    this.head = el("header", {}, this.title, this.actions);
    this.element = el("article", {className: "panel"}, this.head, this.problem, this.host, this.legend.element);
    this.seen = {set: null, before: null, query: null, chart: null};
    this.end = () => {};
    this.sight = new IntersectionObserver((entries) => this.sighted(entries.at(-1).isIntersecting), {rootMargin: "200px"});
    this.sight.observe(this.element);
    this.sized = new ResizeObserver(() => this.later("size", SETTLED, () => this.resized()));
    this.sized.observe(this.host);
    this.timers = {};
  }

  /** Show a chart of the board, or the same one changed. */
  show(chart) {
    this.chart = chart;
    const name = nameOf(chart);
    this.title.textContent = this.title.title = name;
    this.element.setAttribute("aria-label", name);
    this.refresh();
  }

  /** Ask again if the variables, the time or the chart make it another question; else only draw. */
  refresh() {
    if (!this.chart) return;
    this.params = question(this.chart, this.board.values(), substituted, this.board.query());
    const kind = this.chart.chart ?? "line";
    if (kind !== this.kind) this.chartOf(kind);
    this.explore.href = `/?${this.params}`;
    const asked = this.params.toString();
    if (asked === this.asked) return this.redraw();
    this.asked = asked;
    this.isDue = true;
    this.host.classList.add("waits");
    if (this.inSight) this.ask();
  }

  sighted(inSight) {
    this.inSight = inSight;
    if (inSight && this.isDue) this.ask();
  }

  ask() {
    this.isDue = false;
    this.end();
    this.fail(null);
    const width = this.host.clientWidth || 600;
    this.step = wanted(width, 0, this.params).step;
    this.end = ask(width, {
      onSet: (set, before, query) => {
        Object.assign(this.seen, {set, before, query});
        this.host.classList.remove("waits");
        this.element.classList.toggle("blank", !set.list.length);
        this.redraw();
      },
      onChange: () => this.redraw(true),
      onError: (letter, error) => this.fail(letter, error),
    }, this.params);
  }

  /** The automatic step follows the width. */
  resized() {
    if (!this.inSight || this.isDue || !this.host.clientWidth || this.step === undefined) return;
    if (wanted(this.host.clientWidth, 0, this.params).step !== this.step) this.ask();
  }

  chartOf(kind) {
    this.seen.chart?.close();
    this.kind = kind;
    this.seen.chart = chartIn(this.host, kind, {
      hover: (index) => this.hover(index), zoom: (span) => this.board.zoom(span),
      pick: (index, series, place) => this.board.pick(this.seen.set, index, series, place),
    });
    this.legend.element.hidden = OWN_VALUES.includes(kind);
  }

  redraw(isLive = false) {
    const {set, before, query, chart} = this.seen;
    if (!set) return;
    chart.show(set, {before, ago: query.before, zone: this.params.get("zone") ?? ""});
    if (!isLive) this.tell();
    else this.later("telling", TELLING, () => this.tell(), false);
  }

  tell() {
    const {set} = this.seen;
    this.legend.show(set);
    if (this.problem.hidden || this.problem.dataset.kind === "note") this.note(lack(set));
  }

  hover(index) {
    const {set} = this.seen;
    this.legend.at(index);
    if (set) this.board.hover(this, index === null ? null : (set.edge(index) + set.edge(index + 1)) / 2);
  }

  /** Show the crosshair at a time, as another chart has it; null: nowhere. */
  point(time) {
    const {set, chart} = this.seen;
    if (!set) return;
    const index = time === null ? null : set.holding(time);
    const inside = index !== null && index >= 0 && index < set.count ? index : null;
    chart.point(inside);
    this.legend.at(inside);
  }

  fail(letter, error) {
    if (error) this.host.classList.remove("waits");
    const several = this.chart.expressions.length > 1;
    const text = error ? (letter && several ? `${letter}: ${error.message}` : error.message) : "";
    const both = error && !this.problem.hidden && this.problem.dataset.kind === "error";
    this.problem.textContent = both ? `${this.problem.textContent}\n${text}` : text;
    this.problem.hidden = !text;
    this.problem.dataset.kind = "error";
  }

  note(text) {
    tell(this.problem, [text]);
    this.problem.dataset.kind = "note";
  }

  /** Do something after a wait; again is whether a later call begins the wait anew. */
  later(name, wait, work, again = true) {
    if (this.timers[name] && !again) return;
    clearTimeout(this.timers[name]);
    this.timers[name] = setTimeout(() => {
      this.timers[name] = null;
      work();
    }, wait);
  }

  close() {
    this.end();
    this.sight.disconnect();
    this.sized.disconnect();
    this.seen.chart?.close();
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
  }
}

/** Why a chart shows nothing; "" where it shows something. */
function lack(set) {
  if (!set.list.length) return "No values in this span.";
  return set.isOnlyOpen ? `Nothing yet: ${ONLY_OPEN}.` : "";
}
