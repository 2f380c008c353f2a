// Boards in the evaluator's store: listed, read, saved at a revision, deleted.
import {ApiError, get, request} from "./api.js";
import {slug} from "./board-model.js";

const PATH = "/1.0/boards";
const MOST_TRIES = 5;

/** {boards: [{name, title, charts, revision, saved}], writable}. */
export function listBoards(options) {
  return get(PATH, {}, options);
}

/** {name, board, revision, saved, writable, etag}. */
export async function readBoard(name, options) {
  const answer = await request("GET", pathOf(name), options);
  return withTag(await answer.json());
}

/** Save a board that was read with an ETag; null makes a new one. Answers as readBoard; an ApiError of status 412
 * says that somebody else was faster. */
export async function saveBoard(name, board, etag) {
  const headers = {"Content-Type": "application/json", ...condition(etag)};
  const answer = await request("PUT", pathOf(name), {body: JSON.stringify(board), headers});
  return withTag({...await answer.json(), board, writable: true});
}

/** Save a new board under the first free name that its title gives. */
export async function makeBoard(board) {
  const {boards} = await listBoards();
  const taken = new Set(boards.map(({name}) => name));
  const first = slug(board.title);
  for (let number = 1; ; number++) {
    const name = number === 1 ? first : `${first}-${number}`;
    if (taken.has(name)) continue;
    try {
      return await saveBoard(name, board, null);
    } catch (error) {
      if (!isConflict(error) || number > taken.size + MOST_TRIES) throw error;
    }
  }
}

export async function deleteBoard(name, etag) {
  await request("DELETE", pathOf(name), {headers: condition(etag)});
}

/** Change the present board, and once more if somebody else was faster: for changes that bear with any other. */
export async function changeBoard(name, change) {
  for (let tries = 1; ; tries++) {
    const {board, etag} = await readBoard(name);
    try {
      return await saveBoard(name, change(board), etag);
    } catch (error) {
      if (!isConflict(error) || tries === MOST_TRIES) throw error;
    }
  }
}

export function isConflict(error) {
  return error instanceof ApiError && error.status === 412;
}

/** The address of a board in this page. */
export function boardLink(name) {
  return `/?${new URLSearchParams({view: "board", board: name})}`;
}

function pathOf(name) {
  return `${PATH}/${encodeURIComponent(name)}`;
}

/** The ETag is made of the revision: a proxy that compresses some answers marks the header's in these alone. */
function withTag(saved) {
  return {...saved, etag: `"${saved.revision}"`};
}

function condition(etag) {
  return etag === null ? {"If-None-Match": "*"} : {"If-Match": etag};
}
