// Handing a board over: to who has access already, and to somebody else, who sees just this board and what a key allows.
import {boardLink} from "./board-store.js";
import {ask, field} from "./dialog.js";
import {command} from "./copy.js";
import {el} from "./dom.js";
import {key} from "./key.js";
import {read} from "./state.js";

const STATE = /^(v-.+|from|to|zone|live)$/; // what of the address belongs into a link

/** Show the dialog for a board. */
export async function shareBoard(name, title) {
  const link = new URL(boardLink(name), location.origin);
  for (const [parameter, value] of read()) if (STATE.test(parameter)) link.searchParams.append(parameter, value);
  await ask(`Share “${title}”`, [
    el("h3", {textContent: "With who uses this evaluator as you do"}),
    el("p", {className: "quiet", textContent: key() ? "Everybody gives a key of their own. The span and the variables are as you see them." : "The span and the variables are as you see them."}),
    command(link.href, "the link").element,
    el("h3", {textContent: "With somebody else"}),
    ...(key() ? withKey(name, link) : withoutKeys(link)),
  ], [["", "Close"]], {className: "wide"});
}

function withoutKeys(link) {
  const shared = new URL(link);
  shared.searchParams.set("shared", "1");
  return [
    el("p", {textContent: "This link shows just this board, and nothing can be changed there. But this evaluator asks nobody for a key: whoever reaches its address may see everything. To show only a part, give it keys (cube keys add)."}),
    command(shared.href, "the link for somebody else").element,
  ];
}

function withKey(name, link) {
  const input = el("input", {autocomplete: "off", spellcheck: false, type: "password", required: true});
  const told = el("p", {role: "status"});
  const alone = new URL(link);
  alone.searchParams.set("shared", "1");
  const whole = command("", "the link with its key");
  const made = el("div", {className: "content", hidden: true},
    el("p", {textContent: "This link has no key in it: send the key by another way. The page asks for it, and keeps it in that tab."}),
    command(alone.href, "the link for somebody else").element,
    el("details", {}, el("summary", {textContent: "Both in one link"}),
      el("p", {className: "quiet", textContent: "The key stands behind the #, which a browser sends to nobody, and the page takes it out of the address at once. But the browser of whoever opens it may remember it in its history, as it does any address."}),
      whole.element));
  const make = async () => {
    made.hidden = true;
    const given = input.value.trim();
    if (!given) return input.reportValidity();
    const {text, isFit} = await examine(name, given);
    told.textContent = text;
    told.className = isFit ? "" : "error";
    if (!isFit) return;
    whole.set(`${link.href}#${new URLSearchParams({key: given})}`);
    made.hidden = false;
  };
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    make();
  });
  return [
    el("p", {textContent: "A link with a key of its own shows just this board, and of its charts what the key allows: make one that may only read, for some types, or with a filter such as one customer’s events."}),
    el("p", {textContent: "On the evaluator’s machine this makes such a key, for the types of the board, and the link with it; --help tells more:"}),
    command(`cube board link ${name}`, "the command that makes a link").element,
    el("p", {textContent: "Or take a key that you have made already:"}),
    el("div", {className: "make"}, field("The key for that person", input), el("button", {type: "button", textContent: "Make the link", onclick: make})),
    told, made,
    el("p", {className: "quiet", textContent: "To end it revoke the key: cube keys revoke."}),
  ];
}

/** What a key would show, and whether it is fit to be given away. */
async function examine(name, given) {
  const look = (path) => fetch(path, {headers: {"X-Api-Key": given}, credentials: "omit"});
  const answers = await Promise.all([look(`/1.0/boards/${name}`), look("/1.0/boards"), look("/1.0/types")]);
  const [board, list, types] = await Promise.all(answers.map((answer) => answer.json()));
  const refused = answers.find((answer) => !answer.ok);
  if (refused) return {text: [board, list, types].find(({error}) => error).error, isFit: false};
  if (board.writable) return {text: "This key may change boards, and not only read: make one with --scope read.", isFit: false};
  const seen = types.length ? `events of ${types.join(", ")}` : "no events yet";
  const other = list.boards.length ? " It is for all types and has no filter, so its holder can ask for everything, and for the other boards, too." : " It gets no list of boards.";
  return {text: `With this key one sees ${seen}.${other}`, isFit: true};
}

