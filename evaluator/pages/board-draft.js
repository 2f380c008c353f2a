// A board that is being changed: what was saved, what it is now, and every step between them, kept in this tab.
import {isSame} from "./board-model.js";

const MOST_STEPS = 100;

export class Draft {
  /** saved: what readBoard answers; onChange is called after each change. */
  constructor(saved, onChange) {
    Object.assign(this, {saved, board: saved.board, onChange, past: [], future: []});
    if (saved.writable) this.restore();
  }

  get isChanged() {
    return !isSame(this.board, this.saved.board);
  }

  change(board) {
    this.past = [...this.past, this.board].slice(-MOST_STEPS);
    this.future = [];
    this.put(board);
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.board);
    this.put(this.past.pop());
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.board);
    this.put(this.future.pop());
  }

  /** What is now stored; the steps before can still be taken back. */
  settle(saved) {
    this.saved = saved;
    this.put(this.board);
  }

  /** Take what somebody else saved in place of the draft; undo brings the draft back, as a change of theirs. */
  rebase(saved) {
    this.saved = saved;
    this.change(saved.board);
  }

  /** Begin anew with what somebody else saved. */
  adopt(saved) {
    Object.assign(this, {saved, past: [], future: []});
    this.put(saved.board);
  }

  put(board) {
    this.board = board;
    this.keep();
    this.onChange();
  }

  get place() {
    return `cube.draft.${this.saved.name}`;
  }

  /** Keep what is not saved for when the page is left and comes back. */
  keep() {
    if (!this.isChanged) return sessionStorage.removeItem(this.place);
    const {saved, board} = this;
    sessionStorage.setItem(this.place, JSON.stringify({saved, board}));
  }

  /** Take up what was not saved, with the revision that it was a change of: so saving it tells of others' changes. */
  restore() {
    let kept = null;
    try {
      kept = JSON.parse(sessionStorage.getItem(this.place));
    } catch {
      sessionStorage.removeItem(this.place);
    }
    if (!kept?.board || isSame(kept.board, this.saved.board)) return;
    this.past = [this.saved.board];
    this.isRestored = true;
    this.saved = kept.saved;
    this.board = kept.board;
  }
}
