// What a board is called, which span it opens with, and its variables.
import {get} from "./api.js";
import {charts, variables} from "./board-model.js";
import {VariableChoice} from "./board-variables.js";
import {ask, field} from "./dialog.js";
import {choice, el} from "./dom.js";
import {isPlain} from "./fields.js";
import {length} from "./format.js";
import {WEEKDAYS, weekdayChoices} from "./grid.js";
import {duration} from "./state.js";
import {SPANS, zoneChoices} from "./time-choices.js";

const MOST_VARIABLES = 10;
let lists = 0;

/** Edit a board's settings; answers with the changed board, or null. */
export async function editSettings(board) {
  const settings = new Settings(board);
  const answer = await ask("Settings of the board", settings.content, [["", "Cancel"], ["done", "Done", "primary"]],
    {className: "wide", isChanged: () => JSON.stringify(settings.read()) !== JSON.stringify(board)});
  return answer === "done" ? settings.read() : null;
}

class Settings {
  constructor(board) {
    this.board = board;
    this.title = el("input", {value: board.title, required: true, maxLength: 200});
    this.span = board.span ?? "1h";
    this.timezone = board.timezone ?? "";
    this.week = board.week_start ?? WEEKDAYS[0];
    const spans = SPANS.includes(this.span) ? SPANS : [this.span, ...SPANS];
    this.rows = [];
    this.list = el("div", {className: "variable-rows"});
    this.add = el("button", {type: "button", className: "quiet", textContent: "+ Add a variable", onclick: () => this.more()});
    this.content = [
      field("Title", this.title),
      choice("Opens with", spans.map((span) => [span, `Last ${length(duration(span))}`]), this.span, (span) => { this.span = span; }),
      choice("Clock", zoneChoices(this.timezone).filter(([zone]) => zone !== "utc"), this.timezone, (zone) => { this.timezone = zone; }),
      choice("Weeks from", weekdayChoices(), this.week === WEEKDAYS[0] ? "" : this.week, (week) => { this.week = week || WEEKDAYS[0]; }),
      el("h3", {textContent: "Variables"}),
      el("p", {className: "quiet", textContent: "$name in an expression stands for the value that is chosen: sum(request.eq(host, $host)). For all values the filter that names it is left out."}),
      this.list, this.add,
    ];
    this.types = get("/1.0/types").catch(() => []);
    for (const variable of variables(board)) this.row(variable);
  }

  more() {
    const row = this.row({name: "", type: "", field: ""});
    row.name.focus();
  }

  row(variable) {
    const id = ++lists;
    const row = {value: variable.value ?? null};
    const typed = {required: true, placeholder: "host", autocomplete: "off", spellcheck: false};
    row.name = el("input", {...typed, value: variable.name, pattern: "[a-z][a-z0-9_]{0,31}", title: "Small letters, digits and _: host"});
    const fields = el("datalist", {id: `fields-${id}`});
    row.field = el("input", {...typed, value: variable.field, maxLength: 256, onchange: () => this.renew(row)});
    row.field.setAttribute("list", fields.id);
    row.type = el("select", {ariaLabel: "Type", required: true, onchange: () => this.changed(row, fields)});
    row.place = el("div");
    const remove = el("button", {type: "button", className: "icon", textContent: "✕", ariaLabel: "Remove the variable", onclick: () => this.drop(row)});
    row.element = el("div", {className: "variable-row"}, field("Name", row.name), field("Type", row.type), field("Field", row.field), fields, row.place, remove);
    this.rows.push(row);
    this.list.append(row.element);
    this.add.hidden = this.rows.length >= MOST_VARIABLES;
    this.types.then((types) => {
      const known = variable.type && !types.includes(variable.type) ? [variable.type, ...types] : types;
      row.type.replaceChildren(...known.map((type) => el("option", {value: type, textContent: type})));
      row.type.value = variable.type || known.find((type) => this.asksFor(type)) || known[0] || "";
      this.offer(row, fields);
      if (variable.field) this.renew(row, row.value);
    });
    return row;
  }

  /** Whether a chart's text names a type: the likeliest of a new variable. */
  asksFor(type) {
    return charts(this.board).some(({expressions}) => expressions.some((text) => text.split(/\W+/).includes(type)));
  }

  changed(row, fields) {
    this.offer(row, fields);
    this.renew(row);
  }

  async offer(row, list) {
    if (!row.type.value) return;
    const {fields} = await get("/1.0/fields", {type: row.type.value}).catch(() => ({fields: []}));
    list.replaceChildren(...fields.filter(isPlain).map((one) => el("option", {value: one.field})));
  }

  /** The choice of the value to begin with: of the row's field. */
  renew(row, value = null) {
    row.value = value;
    if (!row.type.value || !row.field.value) return row.place.replaceChildren();
    const chooser = new VariableChoice({name: "Begins with", type: row.type.value, field: row.field.value}, (chosen) => {
      row.value = chosen;
      chooser.set(chosen);
    });
    chooser.set(value);
    chooser.load();
    row.place.replaceChildren(chooser.element);
  }

  drop(row) {
    this.rows = this.rows.filter((one) => one !== row);
    row.element.remove();
    this.add.hidden = false;
    this.add.focus();
  }

  read() {
    const listed = this.rows.map(({name, type, field, value}) => ({
      name: name.value.trim(), type: type.value, field: field.value.trim(), ...(value === null ? {} : {value}),
    }));
    const board = {...this.board, title: this.title.value.trim() || this.board.title};
    if (this.span !== (this.board.span ?? "1h")) board.span = this.span;
    if (this.timezone !== (this.board.timezone ?? "")) board.timezone = this.timezone;
    if (this.week !== (this.board.week_start ?? WEEKDAYS[0])) board.week_start = this.week;
    if (listed.length || this.board.variables) board.variables = listed;
    return board;
  }
}
