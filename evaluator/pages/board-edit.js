// The editor of one chart: its expressions with completion, its kind, and how it looks with them.
import {KINDS} from "./chart.js";
import {nameOf, sizeOf, variables} from "./board-model.js";
import {Panel} from "./board-panel.js";
import {completionOf} from "./board-variables.js";
import {ask, field} from "./dialog.js";
import {choice, el} from "./dom.js";
import {Expressions} from "./expressions.js";
import {stepChoices, stepOf} from "./grid.js";

/** Edit a chart of a board; answers with the changed one, or null. panels: what a Panel needs of its board. */
export async function editChart(title, chart, board, panels) {
  const editor = new Editor(chart, board, panels);
  const actions = [["", "Cancel"], ["done", "Done", "primary"]];
  const asked = ask(title, editor.content, actions, {className: "chart-editor", isChanged: () => JSON.stringify(editor.read()) !== JSON.stringify(chart)});
  editor.begin();
  const answer = await asked;
  editor.panel.close();
  const read = editor.read();
  return answer === "done" && read.expressions.length ? read : null;
}

class Editor {
  constructor(chart, board, panels) {
    this.chart = chart;
    this.panel = new Panel({...panels, hover: () => {}, zoom: () => {}, pick: () => {}});
    this.title = el("input", {value: chart.title ?? "", maxLength: 200, placeholder: "The expressions", oninput: () => this.preview()});
    const names = () => variables(board).map(({name}) => name);
    this.expressions = new Expressions({
      texts: () => this.chart.expressions,
      save: (texts) => this.change({expressions: texts.map((text) => text.trim()).filter(Boolean)}),
      options: completionOf(names),
    });
    this.kinds = el("div", {className: "segments", role: "radiogroup", ariaLabel: "Kind of chart"}, ...KINDS.map((kind) => this.kind(kind)));
    const sizes = (from, unit) => Array.from({length: 12 - from + 1}, (_, i) => [String(from + i), `${from + i} ${unit}`]);
    const spans = [["", "Nothing"], ["1d", "A day before"], ["7d", "A week before"]];
    this.choices = el("div", {className: "choices"},
      choice("Step", stepChoices(chart.step), String(stepOf(chart.step) ?? ""), (step) => this.change({step: stepOf(step) ?? undefined})),
      choice("Compare", spans, chart.compare ?? "", (compare) => this.change({compare: compare || undefined})),
      choice("Width", sizes(2, "of 12"), String(sizeOf(chart, "width")), (width) => this.change({width: Number(width)})),
      choice("Height", sizes(2, "rows"), String(sizeOf(chart, "height")), (height) => this.change({height: Number(height)})));
    const hint = names().length ? `Variables: ${names().map((name) => `$${name}`).join(", ")}.` : "";
    this.content = [
      field("Title", this.title), this.expressions.element, el("p", {className: "quiet", textContent: hint, hidden: !hint}),
      this.kinds, this.choices, this.panel.element,
    ];
  }

  begin() {
    this.expressions.update();
    this.preview();
    this.expressions.focus();
  }

  kind([value, text]) {
    const change = () => this.change({chart: value === "line" ? undefined : value});
    const input = el("input", {type: "radio", name: "kind", value, checked: value === (this.chart.chart ?? "line"), onchange: change});
    return el("label", {}, input, el("span", {textContent: text}));
  }

  change(changes) {
    this.chart = {...this.chart, ...changes};
    if (changes.expressions) this.expressions.update();
    this.preview();
  }

  preview() {
    const chart = this.read();
    this.panel.element.hidden = !chart.expressions.length;
    if (chart.expressions.length) this.panel.show({...chart, title: chart.title || nameOf(chart)});
  }

  /** The chart as the form says it, what is as usual left out. */
  read() {
    const title = this.title.value.trim();
    const {title: _, ...chart} = {...this.chart, ...(this.chart.expressions.length ? {} : {expressions: []})};
    const whole = title ? {...chart, title} : chart;
    return Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined));
  }
}
