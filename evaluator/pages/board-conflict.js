// Two changed a board at once: the second is told, and chooses. Nothing of either is lost without a word.
import {differences} from "./board-model.js";
import {boardLink, isConflict, makeBoard, readBoard, saveBoard} from "./board-store.js";
import {ask} from "./dialog.js";
import {el} from "./dom.js";
import {ago} from "./card.js";
import {now} from "./api.js";

/** Save a draft. Answers {saved}, or {theirs}: taken in its place, {copy: link} or {} (nothing is decided). */
export async function save(draft) {
  let {etag} = draft.saved;
  for (;;) {
    try {
      return {saved: await saveBoard(draft.saved.name, draft.board, etag)};
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    const theirs = await readBoard(draft.saved.name).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    });
    const answer = await choose(draft, theirs);
    if (answer === "theirs") return {theirs};
    if (answer === "copy") return {copy: boardLink((await makeBoard({...draft.board, title: `${draft.board.title} (copy)`})).name)};
    if (answer !== "mine") return {};
    etag = theirs ? theirs.etag : null; // over what was just shown, and nothing later
  }
}

function choose(draft, theirs) {
  if (theirs === null) {
    return ask("This board was deleted meanwhile", [el("p", {textContent: `Somebody else deleted “${draft.saved.board.title}” after you opened it.`})],
      [["", "Keep editing"], ["mine", "Save it again", "primary"]]);
  }
  const who = theirs.by ? `“${theirs.by}”` : "Somebody else";
  const when = ago(Math.max(0, now() - Date.parse(theirs.saved)));
  return ask("Two changed this board", [
    el("p", {textContent: `${who} saved it ${when}, after you opened it.`}),
    el("dl", {className: "both"},
      el("dt", {textContent: "They changed"}), el("dd", {textContent: differences(draft.saved.board, theirs.board)}),
      el("dt", {textContent: "You changed"}), el("dd", {textContent: differences(draft.saved.board, draft.board)})),
    el("p", {className: "quiet", textContent: "If you take theirs, Undo brings yours back."}),
  ], [["", "Keep editing"], ["theirs", "Take theirs"], ["mine", "Overwrite theirs"], ["copy", "Save mine as a copy", "primary"]], {className: "wide"});
}
