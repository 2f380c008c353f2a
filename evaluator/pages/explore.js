// Explore: expressions, a span of time, and a chart of them, as the address says.
import {get} from "./api.js";
import {openEvents} from "./behind.js";
import {chartIn, kindOf} from "./chart.js";
import {onTheme} from "./colours.js";
import {Controls} from "./controls.js";
import {DistributionOffer} from "./distribution.js";
import {el} from "./dom.js";
import {Expressions} from "./expressions.js";
import {bucketWords, zoneOf} from "./grid.js";
import {hide, Legend} from "./legend.js";
import {ask} from "./query.js";
import {ONLY_OPEN} from "./series.js";
import {shareMenu} from "./share.js";
import {read, write} from "./state.js";

const FRAMES_OF_LEGEND = 500; // milliseconds between two updates of the legend by live rows
const QUESTION = ["e", "from", "to", "step", "week", "compare", "live"]; // and the zone, where one is named

export function exploreView(main) {
  const view = new Explore(main);
  view.update();
  return view;
}

class Explore {
  constructor(main) {
    this.expressions = new Expressions();
    this.controls = new Controls();
    this.legend = new Legend();
    this.host = el("div", {className: "chart"});
    this.status = el("p", {className: "status", role: "status"});
    this.seen = {set: null, before: null, query: null, chart: null};
    this.head = el("div", {className: "head"}, this.status, this.adding(), this.naming(), shareMenu(() => this.seen));
    this.said = el("p", {className: "quiet", role: "status"});
    this.hints = el("p", {className: "hints", hidden: true});
    this.offer = new DistributionOffer();
    main.append(el("h1", {className: "skip", textContent: "Explore"}), this.expressions.element, this.hints, this.controls.element, this.offer.element, this.head, this.said, this.host, this.legend.element);
    this.end = () => {};
    this.endTheme = onTheme(() => this.redraw());
  }

  /** Show what the address says: ask again if the question is another one, else only draw. */
  update() {
    this.expressions.update();
    this.controls.update();
    this.offer.update();
    const query = read();
    const kind = kindOf(query);
    // The automatic step depends on how wide a chart's bucket is.
    const wide = ["bars", "heat"].includes(kind) ? kind : "";
    const question = JSON.stringify([...QUESTION.map((name) => query.getAll(name)), wide, zoneOf(query.get("zone"))]);
    if (kind !== this.kind) this.chartOf(kind);
    if (question !== this.question) this.ask(question);
    else this.redraw();
  }

  close() {
    this.end();
    this.endTheme();
    this.seen.chart?.close();
    clearTimeout(this.later);
  }

  ask(question) {
    this.question = question;
    this.end();
    const texts = read().getAll("e");
    for (let i = 0; i < texts.length; i++) this.expressions.mark(String.fromCharCode(65 + i), null);
    if (!texts.some((text) => text.trim())) return this.begin();
    this.empty(false);
    this.host.classList.add("waits");
    const began = performance.now();
    this.end = ask(this.host.clientWidth || 800, {
      onSet: (set, before, query) => {
        Object.assign(this.seen, {set, before, query});
        this.expressions.element.classList.toggle("grouped", set.isGrouped);
        this.took = performance.now() - began;
        this.host.classList.remove("waits");
        this.redraw();
      },
      onChange: () => this.redraw(true),
      onError: (name, error) => this.fail(name, error),
    });
  }

  /** Nothing is asked yet: offer the types that are there. */
  async begin() {
    Object.assign(this.seen, {set: null, query: null});
    this.seen.chart?.close();
    this.kind = null;
    this.host.replaceChildren();
    this.status.textContent = "";
    this.empty(true);
    this.expressions.focus();
    const types = await get("/1.0/types").catch(() => []);
    const links = types.slice(0, 12).map((type) => el("a", {href: `/?${new URLSearchParams({view: "explore", e: `sum(${type})`})}`, textContent: `sum(${type})`}));
    this.hints.replaceChildren(types.length ? "Type an expression, or begin with one of these: " : "No events are stored yet.", ...links);
  }

  empty(isEmpty) {
    this.hints.hidden = !isEmpty;
    this.head.hidden = this.controls.element.hidden = isEmpty;
    if (isEmpty) this.legend.element.hidden = true;
  }

  fail(name, error) {
    this.host.classList.remove("waits");
    if (name === null) this.status.textContent = error.message;
    else this.expressions.mark(name, error);
  }

  chartOf(kind) {
    this.seen.chart?.close();
    this.kind = kind;
    this.seen.chart = chartIn(this.host, kind, {
      hover: (index) => this.legend.at(index),
      zoom: ({start, stop}) => write({from: new Date(start).toISOString(), to: new Date(stop).toISOString()}),
      pick: (index, series, place) => openEvents(this.seen.set, index, series, place, read().get("zone") ?? ""),
    });
  }

  /** What makes the chart one of a board; loaded when it is first wanted. */
  adding() {
    const add = async () => {
      const {addToBoard} = await import("./board-add.js");
      const {text, link} = await addToBoard().catch((error) => ({text: error.message})) ?? {};
      if (text) this.said.replaceChildren(`${text} `, ...(link ? [el("a", {href: link, textContent: "Open it"})] : []));
    };
    return el("button", {type: "button", className: "adds", textContent: "Add to a board", onclick: add});
  }

  /** The names of expressions, and a name for one; loaded when it is first wanted. */
  naming() {
    const show = async () => {
      const {manageNames} = await import("./names.js");
      const text = await manageNames().catch((error) => error.message);
      if (text) this.said.replaceChildren(text);
    };
    return el("button", {type: "button", className: "naming", textContent: "Names", onclick: show});
  }

  redraw(isLive = false) {
    const {set, before, query} = this.seen;
    if (!set) return;
    if (this.kind === null) this.chartOf(kindOf(read()));
    hide(set);
    this.seen.chart.show(set, {before, ago: query.before, zone: read().get("zone") ?? "", scale: read().get("scale"), grows: true});
    if (!isLive) this.tell();
    else this.later ??= setTimeout(() => this.tell(), FRAMES_OF_LEGEND);
  }

  tell() {
    this.later = null;
    const {set, query} = this.seen;
    this.legend.element.hidden = ["horizon", "number", "table"].includes(this.kind);
    if (!this.legend.element.hidden) this.legend.show(set);
    const count = set.list.length;
    const words = [
      `${set.count.toLocaleString("en")} bucket${set.count === 1 ? "" : "s"} of ${bucketWords(query)}`, `${count} series`, `${Math.round(this.took)} ms`,
      ...(query.isLive ? ["live"] : []),
      ...(set.isOnlyOpen ? [ONLY_OPEN] : []),
    ];
    this.status.textContent = words.join(" · ");
  }
}
