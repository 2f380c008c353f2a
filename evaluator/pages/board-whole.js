// What is done with a whole board: exported and imported as JSON, and deleted, which can be taken back.
import {boardLink, deleteBoard, isConflict, makeBoard, readBoard, saveBoard} from "./board-store.js";
import {ask} from "./dialog.js";
import {el} from "./dom.js";
import {read, write} from "./state.js";

/** Save a board as a file. */
export function exportBoard(name, board) {
  const href = URL.createObjectURL(new Blob([`${JSON.stringify(board, null, 2)}\n`], {type: "application/json"}));
  el("a", {href, download: `${name}.json`}).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** Make a board of a file; throws an Error whose message says what is wrong with it. */
export async function importBoard(file) {
  let content;
  try {
    content = JSON.parse(await file.text());
  } catch (error) {
    throw new Error(`${file.name} is not JSON (${error.message}); accepted is a board as “Export” saves it.`);
  }
  const board = content?.board ?? content; // as exported, or as the API answers
  if (typeof board?.title !== "string") throw new Error(`${file.name} is not a board: it has no title.`);
  return makeBoard(board);
}

/** Ask, delete a board, and offer on the list of boards to bring it back. */
export async function deleteWithUndo({name, board, etag}) {
  const answer = await ask(`Delete “${board.title}”?`, [el("p", {textContent: "It is gone for everybody. You can take that back as long as you stay on the list of boards."})],
    [["", "Cancel"], ["delete", "Delete", "danger"]]);
  if (answer !== "delete") return;
  try {
    await deleteBoard(name, etag);
  } catch (error) {
    if (!isConflict(error)) throw error;
    return again(name);
  }
  sessionStorage.removeItem(`cube.draft.${name}`);
  lastDeleted = {name, board};
  if (read().get("view") === "boards") dispatchEvent(new Event("cube:state"));
  else write({view: "boards", board: null, edit: null, from: null, to: null});
}

/** Somebody changed it since it was read: ask once more, of what it is now. */
async function again(name) {
  const present = await readBoard(name);
  const answer = await ask("Somebody changed this board meanwhile", [el("p", {textContent: `It is “${present.board.title}” now. Delete it all the same?`})],
    [["", "Keep it"], ["look", "Look at it"], ["delete", "Delete", "danger"]]);
  if (answer === "look") location.assign(boardLink(name));
  if (answer === "delete") await deleteWithUndo(present);
}

let lastDeleted = null;

/** What was deleted just now and can be brought back: {title, restore()}; null where there is none. */
export function undoOfDelete() {
  if (!lastDeleted) return null;
  const {name, board} = lastDeleted;
  return {
    title: board.title,
    forget: () => { lastDeleted = null; },
    restore: async () => {
      lastDeleted = null;
      try {
        await saveBoard(name, board, null);
      } catch (error) {
        if (!isConflict(error)) throw error;
        await makeBoard(board); // the name is taken by now
      }
    },
  };
}
