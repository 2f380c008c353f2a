// The list of boards: opened, made, imported, deleted.
import {savedWhen} from "./board-bar.js";
import {emptyBoard} from "./board-model.js";
import {boardLink, listBoards, makeBoard, readBoard} from "./board-store.js";
import {deleteWithUndo, exportBoard, importBoard, undoOfDelete} from "./board-whole.js";
import {ask, field} from "./dialog.js";
import {el, say} from "./dom.js";

export function view(main) {
  const made = new BoardList(main);
  made.update();
  return made;
}

class BoardList {
  constructor(main) {
    this.closing = new AbortController();
    this.file = el("input", {type: "file", accept: ".json,application/json", hidden: true, multiple: true, onchange: () => this.import()});
    this.make = el("button", {type: "button", className: "primary", textContent: "New board", onclick: () => this.work(() => this.create())});
    this.take = el("button", {type: "button", textContent: "Import", onclick: () => this.file.click()});
    this.bar = el("div", {className: "board-bar", hidden: true}, this.take, this.make);
    this.problem = el("p", {className: "problem", role: "alert", hidden: true});
    this.undone = el("p", {className: "undone", role: "status"});
    this.list = el("ul", {className: "board-list"});
    this.empty = el("p", {className: "empty", hidden: true});
    main.append(el("div", {className: "board-head"}, el("h1", {textContent: "Boards"}), this.bar, this.file), this.problem, this.undone, this.list, this.empty);
  }

  update() {
    return this.work(() => this.look());
  }

  async look() {
    const {boards, writable} = await listBoards({signal: this.closing.signal});
    this.bar.hidden = !writable;
    this.list.replaceChildren(...boards.map((board) => this.row(board, writable)));
    this.empty.hidden = boards.length > 0;
    this.empty.textContent = writable ? "No boards yet. A board is a set of charts that you come back to: make one, or chart something in Explore and add it to a board."
      : "Your key opens boards by their links; it gets no list of them.";
    this.offerUndo();
  }

  row({name, title, charts, saved, by}, writable) {
    const count = charts === undefined ? "of a later version" : `${charts} chart${charts === 1 ? "" : "s"}`;
    const tool = (text, work) => el("button", {type: "button", className: "quiet", textContent: text, ariaLabel: `${text} ${title}`, onclick: () => this.work(work)});
    const whole = () => readBoard(name);
    return el("li", {},
      el("a", {href: boardLink(name), textContent: title}),
      el("span", {className: "quiet", textContent: `${count} · ${savedWhen({saved, by})}`}),
      el("div", {className: "actions"},
        tool("Export", async () => exportBoard(name, (await whole()).board)),
        ...(writable ? [
          tool("Copy", async () => {
            await makeBoard({...(await whole()).board, title: `${title} (copy)`});
            await this.look();
          }),
          tool("Delete", async () => deleteWithUndo(await whole())),
        ] : [])));
  }

  async create() {
    const title = el("input", {required: true, maxLength: 200, autocomplete: "off"});
    if ((await ask("A new board", [field("Title", title)], [["", "Cancel"], ["make", "Make it", "primary"]])) !== "make") return;
    const {name} = await makeBoard(emptyBoard(title.value.trim() || "Board"));
    history.pushState(null, "", `${boardLink(name)}&edit=1`);
    dispatchEvent(new Event("cube:state"));
  }

  import() {
    const files = [...this.file.files];
    this.file.value = "";
    return this.work(async () => {
      for (const file of files) {
        const {board} = await importBoard(file);
        say(`“${board.title}” is imported.`);
      }
      await this.look();
    });
  }

  offerUndo() {
    const deleted = undoOfDelete();
    if (!deleted) return this.undone.replaceChildren();
    const undo = el("button", {type: "button", textContent: "Undo", onclick: () => this.work(async () => {
      await deleted.restore();
      await this.look();
    })});
    this.undone.replaceChildren(`“${deleted.title}” is deleted. `, undo);
  }

  /** Do something, and say what went wrong with it. */
  async work(work) {
    this.problem.hidden = true;
    try {
      await work();
    } catch (error) {
      if (this.closing.signal.aborted) return;
      this.problem.hidden = false;
      this.problem.textContent = error.message;
    }
  }

  close() {
    this.closing.abort();
    undoOfDelete()?.forget();
  }
}
