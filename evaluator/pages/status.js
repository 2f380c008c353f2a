// Status: which daemons live, what comes, what is refused, and what was slow; asked again every five seconds.
import {get, now} from "./api.js";
import {ago} from "./card.js";
import {el} from "./dom.js";
import {bytes, number} from "./format.js";
import {LookingView} from "./looking.js";
import {daemonTable} from "./status-daemons.js";
import {refusalList, slowTable, typeTable} from "./status-tables.js";

const WAIT = 5_000;

export function view(main) {
  const made = new Status(main);
  made.look();
  return made;
}

class Status extends LookingView {
  constructor(main) {
    super();
    this.problem = el("p", {className: "problem", role: "alert", hidden: true});
    this.when = el("p", {className: "quiet"});
    this.restricted = el("p", {className: "quiet", hidden: true, textContent: "Your key shows that daemons live, what is of its types, and the questions that were asked with it."});
    this.figures = el("dl", {className: "figures"});
    this.parts = [typeTable(), daemonTable(), refusalList(), slowTable()];
    this.body = el("div", {className: "status-parts", hidden: true}, this.figures, ...this.parts.map(({element}) => element));
    main.append(el("div", {className: "status-head"}, el("h1", {textContent: "Status"}), this.when), this.problem, this.restricted, this.body);
  }

  ask(signal) {
    return get("/1.0/status", {}, {signal});
  }

  wait() {
    return WAIT;
  }

  show(status) {
    this.shown = Date.parse(status.time);
    this.problem.hidden = true;
    this.body.hidden = false;
    this.restricted.hidden = !status.restricted;
    this.when.textContent = "As the daemons tell every few seconds; live.";
    this.figures.replaceChildren(...figures(status).map(([term, value, note]) =>
      el("div", {}, el("dt", {textContent: term}), el("dd", {}, el("b", {textContent: value}), note ? el("span", {className: "quiet", textContent: note}) : null))));
    for (const part of this.parts) part.set(status);
  }

  fail(error) {
    this.problem.hidden = false;
    this.tell(this.problem, error);
    if (this.shown) this.when.textContent = `Not live: this is how it was ${ago(now() - this.shown)}.`;
  }
}

/** The figures that come first: [what, how much, what more there is to say]. */
function figures({daemons, types, refusals, questions, cache, restricted}) {
  const living = daemons.filter(({live}) => live).length;
  const silent = daemons.length - living;
  const rate = types.reduce((sum, type) => sum + type.rate, 0);
  const refused = refusals.reduce((sum, {events}) => sum + events, 0);
  const found = [
    ["Daemons living", number(living), silent ? `${silent} silent` : ""],
    ["Events a second", number(rate), ""],
    ["Refused", refused.toLocaleString("en"), refused ? "since they started" : ""],
  ];
  if (restricted) return found;
  const needed = cache.hit + cache.miss;
  const waiting = daemons.reduce((sum, {live, waiting, spool}) => sum + (live ? (waiting.events ?? 0) + (spool?.events ?? 0) : 0), 0);
  const memory = daemons.reduce((sum, {live, memory_bytes: size}) => sum + (live ? size : 0), 0);
  return [
    ...found,
    ["Events that wait", waiting.toLocaleString("en"), daemons.some(({live, spool}) => live && spool?.away) ? "the store is away" : ""],
    ["Questions a second", number(questions.metric.rate + questions.event.rate), ""],
    ["Found in the cache", needed ? `${number(Math.floor((1000 * cache.hit) / needed) / 10)} %` : "–", needed ? `of ${number(needed)} bucket${needed === 1 ? "" : "s"} in 5 min` : ""],
    ["Memory", bytes(memory), ""],
  ];
}
