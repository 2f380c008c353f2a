// One board: its charts over one span and with one set of variables; looked at, arranged, changed, saved, handed over.
import {openEvents} from "./behind.js";
import {added, charts, moved, nameOf, removed, resized, withChart} from "./board-model.js";
import {ActionBar} from "./board-bar.js";
import {save} from "./board-conflict.js";
import {Draft} from "./board-draft.js";
import {editChart} from "./board-edit.js";
import {Grid} from "./board-grid.js";
import {editSettings} from "./board-settings.js";
import {readBoard} from "./board-store.js";
import {chosen, Variables} from "./board-variables.js";
import {onTheme} from "./colours.js";
import {el, say, tell} from "./dom.js";
import {isShared} from "./key.js";
import {read, write} from "./state.js";
import {TimeChoices} from "./time-choices.js";

const LOOKING = 60_000; // milliseconds until it is looked whether somebody else saved the board

export function view(main) {
  const made = new BoardView(main);
  made.update();
  return made;
}

class BoardView {
  constructor(main) {
    this.closing = new AbortController();
    const {signal} = this.closing;
    this.title = el("h1");
    this.problem = el("p", {className: "problem", role: "alert", hidden: true});
    this.variables = new Variables(signal);
    this.times = new TimeChoices(() => this.draft?.board.span ?? "1h", () => this.draft?.board.timezone ?? "");
    this.time = el("div", {className: "choices"});
    this.empty = el("p", {className: "empty", hidden: true});
    this.hidden = el("p", {className: "quiet", hidden: true});
    this.grid = new Grid(this.panels());
    this.bar = new ActionBar(this);
    this.controls = el("section", {className: "board-controls", ariaLabel: "Variables and time"}, this.variables.element, this.time);
    this.wrongTime = el("p", {className: "problem", role: "alert", hidden: true});
    this.head = el("div", {className: "board-head"}, this.title, this.bar.element);
    main.append(this.head, this.bar.state, this.problem, this.controls, this.wrongTime, this.empty, this.grid.element, this.hidden);
    this.endTheme = onTheme(() => this.grid.refresh());
    addEventListener("beforeunload", (event) => this.draft?.isChanged && event.preventDefault(), {signal});
    document.addEventListener("keydown", (event) => this.key(event), {signal});
    addEventListener("focus", () => this.look(), {signal});
    this.watching = setInterval(() => document.hidden || this.look(), LOOKING);
  }

  /** What panels and grid need of a board. */
  panels() {
    const edit = {
      board: () => this.draft.board,
      canExplore: () => !isShared(),
      move: (from, to) => this.change(moved(this.draft.board, from, to), to),
      resize: (place, size) => this.change(resized(this.draft.board, place, size), place),
      remove: (place) => this.remove(place),
      copy: (place) => this.change(added(this.draft.board, {...charts(this.draft.board)[place]}), Infinity),
      open: (place) => this.open(place),
    };
    return {
      edit,
      values: () => chosen(this.draft.board),
      query: () => {
        const query = read();
        const [from, to, live, zone] = ["from", "to", "live", "zone"].map((name) => query.get(name));
        const {span = "1h", timezone, week_start: week} = this.draft.board;
        return {from: from ?? `-${span}`, to, live, zone: zone ?? timezone, week};
      },
      hover: (panel, time) => this.grid.point(panel, time),
      // Who sees one board alone has no view of events.
      pick: (...point) => isShared() || openEvents(...point, read().get("zone") ?? this.draft.board.timezone ?? ""),
      zoom: ({start, stop}) => write({from: new Date(start).toISOString(), to: new Date(stop).toISOString()}),
    };
  }

  update() {
    const name = read().get("board") ?? "";
    if (name !== this.name) return this.load(name);
    if (this.draft) this.show();
  }

  async load(name) {
    this.name = name;
    this.draft = null;
    const {signal} = this.closing;
    try {
      const saved = await this.read(name);
      if (signal.aborted || this.name !== name) return;
      this.draft = new Draft(saved, () => this.show());
      if (this.draft.isRestored) write({edit: "1"}, {replace: true});
      this.show();
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  /** Show what somebody else saved meanwhile, unless it is being changed here: then saving tells of it. */
  async look() {
    const {draft} = this;
    const isIdle = () => this.draft === draft && draft && !this.isEditing && !draft.isChanged;
    if (!isIdle()) return;
    const saved = await this.read(this.name).catch(() => null); // what is shown stays, and the next look may succeed
    if (!saved || !isIdle() || saved.etag === draft.saved.etag) return;
    draft.adopt(saved);
    say("Somebody changed this board: this is what it is now.");
  }

  async read(name) {
    const saved = await readBoard(name, {signal: this.closing.signal});
    return isShared() ? {...saved, writable: false} : saved;
  }

  /** Whether the board is being changed. */
  get isEditing() {
    return this.draft.saved.writable && read().get("edit") === "1";
  }

  show() {
    const {board} = this.draft;
    this.title.textContent = board.title;
    document.title = `${this.draft.isChanged ? "● " : ""}${board.title} – Cube`;
    this.variables.show(board);
    const focused = this.time.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
    this.time.replaceChildren(...this.times.span(), this.times.clock(), this.times.live());
    tell(this.wrongTime, [this.times.problem()]);
    if (focused) this.time.querySelector(`[aria-label="${focused}"]`)?.focus();
    this.bar.show(this.draft, this.isEditing);
    const count = charts(board).length;
    this.empty.hidden = count > 0;
    if (!count) this.empty.textContent = this.isEditing ? "No chart yet: add one above, or with “Add to a board” in Explore." : "This board has no charts yet.";
    this.grid.show(board, this.isEditing);
    const {hidden} = this.draft.saved;
    this.hidden.hidden = !hidden;
    this.hidden.textContent = hidden === 1 ? "One more chart is not for your key." : `${hidden} more charts are not for your key.`;
  }

  change(board, focus = null) {
    this.draft.change(board);
    if (focus !== null) this.grid.focus(focus);
  }

  async open(place) {
    const listed = charts(this.draft.board);
    const isNew = place === listed.length;
    const chart = isNew ? {expressions: []} : listed[place];
    const changed = await editChart(isNew ? "A new chart" : `Chart “${nameOf(chart)}”`, chart, this.draft.board, this.panels());
    if (changed === null || JSON.stringify(changed) === JSON.stringify(chart)) return;
    this.change(isNew ? added(this.draft.board, changed) : withChart(this.draft.board, place, changed));
  }

  remove(place) {
    const name = nameOf(charts(this.draft.board)[place]);
    this.change(removed(this.draft.board, place), place);
    if (!charts(this.draft.board).length) this.bar.focus();
    say(`“${name}” is removed: Undo brings it back.`);
  }

  async settings() {
    const changed = await editSettings(this.draft.board);
    if (changed) this.change(changed);
  }

  /** Save, and if somebody else was faster do what is chosen then. */
  async save() {
    if (!this.draft.isChanged || this.isSaving) return;
    this.isSaving = true;
    try {
      const {saved, theirs, copy} = await save(this.draft);
      if (saved) this.settle(saved, "The board is saved.");
      if (theirs) {
        this.draft.rebase(theirs);
        say("Their board is taken: Undo brings yours back.");
      }
      if (copy) this.leaveFor(copy);
    } catch (error) {
      this.fail(error);
    } finally {
      this.isSaving = false;
    }
  }

  settle(saved, text) {
    this.problem.hidden = true;
    this.draft.settle(saved);
    say(text);
  }

  /** Go to the copy of what was changed; the board itself is as the others left it. */
  leaveFor(link) {
    this.draft.change(this.draft.saved.board);
    history.pushState(null, "", `${link}&edit=1`);
    dispatchEvent(new Event("cube:state"));
    say("Your version is saved as a board of its own.");
  }

  key(event) {
    if (!this.draft || !this.isEditing || document.querySelector("dialog[open]") || !(event.ctrlKey || event.metaKey)) return;
    const typed = event.target.matches?.("input:not([type=checkbox]), textarea");
    const pressed = event.key.toLowerCase();
    if (pressed === "s") this.save();
    else if (pressed === "z" && !typed) event.shiftKey ? this.draft.redo() : this.draft.undo();
    else if (pressed === "y" && !typed) this.draft.redo();
    else return;
    event.preventDefault();
  }

  fail(error) {
    this.problem.hidden = false;
    this.problem.textContent = error.status === 404 ? `${error.message} It may have been deleted, or its name is another one.` : error.message;
  }

  close() {
    if (this.draft?.isChanged) say(`What you changed in “${this.draft.board.title}” is kept in this tab, and not saved.`);
    this.closing.abort();
    clearInterval(this.watching);
    this.endTheme();
    this.grid.close();
    document.title = "Cube";
  }
}
