// The buttons of a board, and what is said of its state: as saved, or with changes that are not.
import {now} from "./api.js";
import {charts} from "./board-model.js";
import {shareBoard} from "./board-share.js";
import {deleteWithUndo, exportBoard} from "./board-whole.js";
import {ago} from "./card.js";
import {el} from "./dom.js";
import {isShared} from "./key.js";
import {write} from "./state.js";

const MOST_CHARTS = 60;

export class ActionBar {
  /** board: the view, with draft, open(place), settings(), save() and fail(error). */
  constructor(board) {
    const button = (textContent, onclick, className) => el("button", {type: "button", textContent, className, onclick});
    this.edit = button("Edit", () => write({edit: "1"}));
    this.done = button("Done", () => write({edit: null}));
    this.add = button("Add a chart", () => board.open(charts(board.draft.board).length), "primary");
    this.settings = button("Settings", () => board.settings());
    this.undo = button("Undo", () => board.draft.undo());
    this.redo = button("Redo", () => board.draft.redo());
    this.discard = button("Discard", () => board.change(board.draft.saved.board));
    this.save = button("Save", () => board.save(), "primary");
    this.whole = button("Full screen", () => wholeScreen());
    const tell = () => { this.whole.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen"; };
    document.addEventListener("fullscreenchange", tell, {signal: board.closing.signal});
    this.share = button("Share", () => shareBoard(board.name, board.draft.board.title));
    this.export = button("Export", () => exportBoard(board.name, board.draft.board));
    this.delete = button("Delete", () => deleteWithUndo(board.draft.saved).catch((error) => board.fail(error)));
    this.editing = [this.add, this.settings, this.undo, this.redo, this.discard, this.delete, this.done, this.save];
    this.looking = [this.whole, this.export, this.share, this.edit];
    this.element = el("div", {className: "board-bar", hidden: true, role: "group", ariaLabel: "What can be done with the board"}, ...this.looking, ...this.editing);
    this.state = el("p", {className: "board-state quiet", role: "status"});
  }

  show(draft, isEditing) {
    this.element.hidden = false;
    for (const one of this.editing) one.hidden = !isEditing;
    for (const one of this.looking) one.hidden = isEditing;
    if (isShared()) this.share.hidden = this.export.hidden = true;
    this.edit.hidden ||= !draft.saved.writable;
    this.add.disabled = charts(draft.board).length >= MOST_CHARTS;
    this.undo.disabled = !draft.past.length;
    this.redo.disabled = !draft.future.length;
    this.save.disabled = this.discard.disabled = !draft.isChanged;
    this.element.classList.toggle("changed", draft.isChanged);
    const text = draft.isChanged ? "● Changes that are not saved" : isEditing ? `Last ${savedWhen(draft.saved)}` : "";
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.hidden = !text;
    if (draft.isChanged && !isEditing) this.edit.textContent = "Edit and save";
    else this.edit.textContent = "Edit";
  }

  focus() {
    this.add.focus();
  }
}

/** When a board was saved, and by whose key. */
export function savedWhen({saved, by}) {
  const when = ago(Math.max(0, now() - Date.parse(saved)));
  return `saved ${when}${by ? ` by “${by}”` : ""}`;
}

/** Show the board alone on the whole screen, until Escape. */
function wholeScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
}
