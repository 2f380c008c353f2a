// Events: a table of what is stored, as the address says: its type, filters, columns and span; live, unless paused.
import {get, now} from "./api.js";
import {el} from "./dom.js";
import {Columns} from "./events-columns.js";
import {Filters} from "./events-filters.js";
import {EventSource} from "./events-source.js";
import {EventTable} from "./events-table.js";
import {isPlain, literal} from "./fields.js";
import {describe} from "./readings.js";
import {noTime, read, resolve, write} from "./state.js";

const SPANS = [["-5m", "last 5 minutes"], ["-1h", "last hour"], ["-6h", "last 6 hours"], ["-1d", "last day"], ["-7d", "last week"], ["-365d", "last year"]];
const USUAL = "-1h";
const QUESTION = ["type", "f", "from", "to"];

export function eventsView(main) {
  const view = new Events(main);
  view.begin();
  return view;
}

class Events {
  constructor(main) {
    this.closing = new AbortController();
    this.type = el("select", {onchange: () => write({type: this.type.value, f: null, col: null})});
    this.span = el("select", {onchange: () => write({from: this.span.value, to: null})});
    this.pause = el("button", {type: "button", className: "pause", onclick: () => this.setPaused(!this.source.paused)});
    this.status = el("p", {className: "status", role: "status"});
    this.problem = el("p", {className: "problem", role: "alert", hidden: true});
    this.hint = el("p", {className: "hint", role: "status", hidden: true});
    this.filters = new Filters();
    this.columns = new Columns();
    this.table = new EventTable({
      filter: (field, value) => this.addFilter(field, value),
      opened: () => this.setPaused(true),
      linkOf: () => ({type: read().get("type"), filters: this.filters.text(), from: read().get("from"), to: read().get("to")}),
      columns: this.columns,
    });
    this.source = new EventSource({onRows: (rows) => this.add(rows), onClear: () => this.table.clear(), onState: () => this.tell(), onError: (error) => this.fail(error)});
    this.earlier = el("button", {type: "button", textContent: "Show earlier ones", onclick: () => this.source.earlier(this.table.cutOldest())});
    const choices = el("div", {className: "choices"}, label("Type", this.type), label("Time", this.span), this.columns.menu, this.pause);
    main.append(el("h1", {className: "skip", textContent: "Events"}), choices, this.filters.element, this.problem, this.hint, this.status, this.table.element,
      el("p", {className: "earlier"}, this.earlier));
  }

  /** Ask which types there are, and show the events of the one that the address names, else of the first. */
  async begin() {
    try {
      const types = await get("/1.0/types", {}, {signal: this.closing.signal});
      const wanted = read().get("type");
      if (wanted && !types.includes(wanted)) types.push(wanted);
      if (!types.length) return this.nothing();
      this.type.replaceChildren(...types.map((type) => el("option", {value: type, textContent: type})));
      if (!wanted) write({view: "events", type: types.includes("request") ? "request" : types[0]}, {replace: true});
      else this.update();
    } catch (error) {
      if (!this.closing.signal.aborted) this.fail(error);
    }
  }

  update() {
    const query = read();
    const type = query.get("type");
    if (!type || !this.type.options.length) return;
    this.type.value = type;
    this.showSpan(query);
    this.columns.choose(query.getAll("col"));
    this.filters.show(type, query.getAll("f"));
    const question = JSON.stringify(QUESTION.map((name) => query.getAll(name)));
    if (question === this.question) return this.table.arrange();
    this.question = question;
    this.problem.hidden = this.hint.hidden = true;
    if (type !== this.fieldsOf) this.askFields(type);
    this.ask(query, type);
  }

  close() {
    this.closing.abort();
    this.source.close();
  }

  /** Ask for the fields of a type; the first events are shown meanwhile. */
  async askFields(type) {
    this.fieldsOf = type;
    this.columns.begin(type);
    const {signal} = this.closing;
    const {fields} = await get("/1.0/fields", {type}, {signal}).catch((error) => {
      if (!signal.aborted) this.fail(error);
      return {fields: []};
    });
    if (this.fieldsOf !== type || signal.aborted) return;
    this.filters.offer(fields);
    this.columns.offer(fields.filter(isPlain));
    this.table.arrange();
  }

  add(rows) {
    if (rows.length && this.columns.meet(rows[0].data)) this.table.arrange();
    this.table.add(rows);
  }

  ask(query, type) {
    const at = now();
    const [from, to] = [query.get("from") ?? USUAL, query.get("to") ?? "now"];
    const wrong = [from, to].find((text) => Number.isNaN(resolve(text, at)));
    if (wrong !== undefined) {
      this.source.clear();
      return this.fail(new Error(noTime(wrong)));
    }
    const iso = (text) => new Date(resolve(text, at)).toISOString();
    const expression = `${type}(*)${this.filters.text()}`;
    this.source.ask({expression, start: iso(from), stop: to === "now" ? null : iso(to)});
    this.askHints(expression);
  }

  /** Say why no event may pass: a type that is not there, a field of another kind. */
  async askHints(expression) {
    const {hints = []} = await describe(expression, {signal: this.closing.signal}).catch(() => ({})); // the source says what is wrong
    if (this.source.question?.expression !== expression) return;
    this.hint.hidden = !hints.length;
    this.hint.textContent = hints.join(" ");
  }

  showSpan(query) {
    const [from, to] = [query.get("from") ?? USUAL, query.get("to")];
    const known = (!to || to === "now") && SPANS.some(([value]) => value === from);
    const options = known ? SPANS : [["", `${from} to ${to ?? "now"}`], ...SPANS];
    this.span.replaceChildren(...options.map(([value, textContent]) => el("option", {value, textContent})));
    this.span.value = known ? from : "";
  }

  addFilter(field, value) {
    const filter = `eq(${field},${literal(value)})`;
    const filters = read().getAll("f");
    if (!filters.includes(filter)) write({f: [...filters, filter]});
  }

  setPaused(paused) {
    this.source.setPaused(paused);
  }

  tell() {
    const {isLive, paused, waiting, isReading} = this.source;
    this.pause.hidden = !isLive;
    this.pause.textContent = paused ? "Resume" : "Pause";
    const count = this.table.count;
    const shown = `${count.toLocaleString("en")} event${count === 1 ? "" : "s"}`;
    const more = waiting ? `, ${waiting.toLocaleString("en")} more since` : "";
    this.status.textContent = isReading && !count ? "Reading …" : `${shown}, the latest first${isLive ? (paused ? `; paused${more}` : "; live") : ""}.`;
    this.table.element.classList.toggle("waits", isReading);
    this.earlier.hidden = !count || this.source.isAtBeginning;
  }

  nothing() {
    this.status.replaceChildren("Nothing is stored yet. ", el("a", {href: "/", textContent: "How to begin"}));
  }

  fail(error) {
    this.problem.hidden = false;
    this.problem.textContent = error.message;
  }
}

function label(text, control) {
  return el("label", {className: "choice"}, el("span", {textContent: text}), control);
}
