// The table of events: a row for each, the latest first, with fields as columns; a row opens to show all of its event.
import {copy} from "./copy.js";
import {el} from "./dom.js";
import {isLiteral, shown, valueAt} from "./fields.js";

const MOST = 1_000; // rows while live ones come; more that were asked for are kept
const clock = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23"});
const day = new Intl.DateTimeFormat("en-GB", {month: "short", day: "numeric"});

export class EventTable {
  /** filter(field, value): a value was chosen; opened(): an event is shown in full; columns: see Columns. */
  constructor({filter, opened, columns, linkOf}) {
    Object.assign(this, {filter, opened, columns});
    this.rows = [];
    this.byKey = new Map();
    this.most = MOST;
    this.head = el("tr");
    this.body = el("tbody");
    this.table = el("table", {}, el("caption", {className: "skip", textContent: "Events, the latest first"}), el("thead", {}, this.head), this.body);
    this.element = el("div", {className: "scroll events-table", tabIndex: 0, role: "region", ariaLabel: "Events"}, this.table);
    columns.linkOf = linkOf;
  }

  get count() {
    return this.rows.length;
  }

  clear() {
    this.rows = [];
    this.byKey.clear();
    this.most = MOST;
    this.body.replaceChildren();
  }

  /** Take rows {key, time, data} in; an event that was replaced comes again with its key. */
  add(rows) {
    for (const row of rows) {
      const former = row.key === undefined ? undefined : this.byKey.get(row.key);
      if (former) this.remove(former);
      if (row.key !== undefined) this.byKey.set(row.key, row);
      this.insert(row);
    }
    while (this.rows.length > this.most) this.remove(this.rows.at(-1));
  }

  /** Remove the rows of the oldest time, as there may be more of it; returns the time before which all is to be asked. */
  cutOldest() {
    const oldest = this.rows.at(-1).time;
    const isAll = this.rows[0].time === oldest;
    while (!isAll && this.rows.at(-1).time === oldest) this.remove(this.rows.at(-1));
    this.most = this.rows.length + MOST;
    return isAll ? oldest : oldest + 1;
  }

  /** Draw head and rows again, after another choice of columns. */
  arrange() {
    this.head.replaceChildren(el("th", {scope: "col", textContent: "Time"}), ...this.columns.shown().map((column) => this.columns.head(column)));
    for (const row of this.rows) row.element.replaceChildren(...this.cells(row));
    for (const row of this.rows) if (row.full) row.full.firstChild.colSpan = this.columns.shown().length + 1;
  }

  insert(row) {
    let index = 0;
    while (index < this.rows.length && this.rows[index].time > row.time) index++;
    row.element = el("tr", {}, ...this.cells(row));
    this.body.insertBefore(row.element, this.rows[index]?.element ?? null);
    this.rows.splice(index, 0, row);
  }

  remove(row) {
    row.element.remove();
    row.full?.remove();
    this.rows.splice(this.rows.indexOf(row), 1);
    if (this.byKey.get(row.key) === row) this.byKey.delete(row.key);
  }

  cells(row) {
    const open = el("button", {type: "button", className: "quiet", textContent: when(row.time), title: new Date(row.time).toISOString(), onclick: () => this.toggle(row)});
    open.setAttribute("aria-expanded", Boolean(row.full));
    return [el("th", {scope: "row"}, open), ...this.columns.shown().map((column) => this.cell(column, row))];
  }

  cell({field, path, isNumber}, row) {
    const value = valueAt(row.data, path);
    return el("td", {className: isNumber ? "figure" : ""}, value === undefined ? "" : this.value(field, value));
  }

  /** A value that, clicked, becomes a filter; what no filter can hold is text. */
  value(field, value) {
    if (!isLiteral(value)) return el("span", {textContent: shown(value)});
    const className = value === null ? "value none" : "value";
    return el("button", {type: "button", className, textContent: shown(value), title: `Only ${field} = ${shown(value)}`, onclick: () => this.filter(field, value)});
  }

  toggle(row) {
    if (row.full) {
      row.full.remove();
      row.full = null;
    } else {
      row.full = el("tr", {className: "full"}, el("td", {colSpan: this.columns.shown().length + 1}, this.full(row)));
      row.element.after(row.full);
      this.opened();
    }
    row.element.querySelector("button").setAttribute("aria-expanded", Boolean(row.full));
  }

  full(row) {
    const event = {type: this.columns.type, time: new Date(row.time).toISOString(), ...(row.key === undefined ? {} : {id: row.key}), data: row.data};
    const text = JSON.stringify(event, null, 2);
    const pre = el("pre", {tabIndex: 0, textContent: text});
    return el("div", {}, pre, el("button", {type: "button", textContent: "Copy as JSON", onclick: () => copy(text, pre)}));
  }
}

function when(time) {
  const date = day.format(time);
  return date === day.format(Date.now()) ? clock.format(time) : `${date}, ${clock.format(time)}`;
}
