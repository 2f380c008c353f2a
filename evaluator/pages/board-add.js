// "Add to a board" in Explore: what is charted becomes a chart of a board that is there, or of a new one.
import {added, charts, emptyBoard} from "./board-model.js";
import {boardLink, changeBoard, listBoards, makeBoard} from "./board-store.js";
import {kindOf} from "./chart.js";
import {ask, field} from "./dialog.js";
import {choice, el} from "./dom.js";
import {stepOf} from "./grid.js";
import {read} from "./state.js";

const NEW = "";

/** Ask for the board, and add what the address of Explore says. Answers {text, link} of what was done, or null. */
export async function addToBoard() {
  const {boards, writable} = await listBoards();
  if (!writable) return {text: "Your key may not change boards: it needs the scopes read and write, for all types and without a filter."};
  const query = read();
  const title = el("input", {maxLength: 200, placeholder: "The expressions", value: ""});
  const name = el("input", {maxLength: 200, required: true, value: "My board"});
  const named = field("Title of the new board", name);
  let chosen = boards[0]?.name ?? NEW;
  const pick = (value) => {
    chosen = value;
    named.hidden = name.disabled = value !== NEW;
  };
  const boardChoice = choice("Board", [...boards.map((one) => [one.name, one.title]), [NEW, "New board"]], chosen, pick);
  pick(chosen);
  const answer = await ask("Add to a board", [boardChoice, named, field("Title of the chart", title)], [["", "Cancel"], ["add", "Add", "primary"]]);
  if (answer !== "add") return null;
  const chart = chartOf(query, title.value.trim());
  const saved = chosen === NEW
    ? await makeBoard({...emptyBoard(name.value.trim()), span: spanOf(query), charts: [chart]})
    : await changeBoard(chosen, (board) => added(board, chart));
  const count = charts(saved.board).length;
  return {text: `Added to “${saved.board.title}”, which has ${count} chart${count === 1 ? "" : "s"} now.`, link: boardLink(saved.name)};
}

function chartOf(query, title) {
  const chart = {expressions: query.getAll("e").filter((text) => text.trim())};
  if (title) chart.title = title;
  if (query.has("chart")) chart.chart = kindOf(query);
  if (["number"].includes(chart.chart)) Object.assign(chart, {width: 3, height: 3});
  if (stepOf(query.get("step")) !== null) chart.step = stepOf(query.get("step"));
  if (query.get("compare")) chart.compare = query.get("compare");
  return chart;
}

function spanOf(query) {
  const relative = /^-([1-9]\d{0,4}[smhdw])$/.exec(query.get("from") ?? "");
  return relative && (query.get("to") ?? "now") === "now" ? relative[1] : "1h";
}

