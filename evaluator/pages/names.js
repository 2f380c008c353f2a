// "Names" in Explore: the expressions of the environment that have names, and a name for one that is charted.
import {ApiError, get, request} from "./api.js";
import {ask, field} from "./dialog.js";
import {choice, el} from "./dom.js";
import {read} from "./state.js";

const PATH = "/1.0/definitions";

/** Show the names there are, and give an expression one. Answers a sentence of what was done, or null. */
export async function manageNames() {
  const {definitions, writable} = await get(PATH);
  const texts = read().getAll("e").filter((text) => text.trim());
  const known = list(definitions, writable);
  if (!writable || !texts.length) {
    await ask("Names", [known], [["", "Close"]], {className: "wide"});
    return null;
  }
  let chosen = texts[0];
  const pick = choice("Expression", texts.map((text) => [text, text]), chosen, (value) => { chosen = value; });
  const name = el("input", {maxLength: 64, required: true, pattern: "[a-z_][a-zA-Z0-9_]*", placeholder: "error_rate"});
  const named = field("Name", name, "Letters, digits and _, a small letter first; it then stands for the expression in any other.");
  const answer = await ask("Names", [known, pick, named], [["", "Close"], ["save", "Give it the name", "primary"]], {className: "wide"});
  if (answer !== "save") return null;
  return save(name.value.trim(), chosen, definitions.find((each) => each.name === name.value.trim()));
}

async function save(name, expression, present) {
  if (present) {
    const told = el("p", {textContent: `${name} stands for ${present.expression} now, wherever it is used.`});
    if (await ask(`Change ${name}?`, [told], [["", "Cancel"], ["change", "Change it", "primary"]]) !== "change") return null;
  }
  const condition = present ? {"If-Match": `"${present.revision}"`} : {"If-None-Match": "*"};
  const isSaved = await change("PUT", name, {
    body: JSON.stringify({expression}),
    headers: {"Content-Type": "application/json", ...condition},
  });
  if (!isSaved) return null;
  return `${name} stands for ${expression} now.`;
}

function list(definitions, writable) {
  if (!definitions.length) return el("p", {className: "quiet", textContent: "No expression has a name yet."});
  return el("ul", {className: "names", ariaLabel: "Names"}, ...definitions.map((each) => row(each, writable)));
}

function row({name, expression, explanation, error, revision}, writable) {
  const told = el("small", {className: error ? "error" : "quiet", textContent: error ?? explanation});
  const link = el("a", {href: `/?${new URLSearchParams({view: "explore", e: name})}`, textContent: name});
  const remove = async ({target}) => {
    try {
      const isDeleted = await change("DELETE", name, {headers: {"If-Match": `"${revision}"`}});
      if (isDeleted) target.closest("li").remove();
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      told.textContent = failure.message;
      told.className = "error";
    }
  };
  const button = writable ? el("button", {type: "button", className: "quiet", textContent: "Delete", ariaLabel: `Delete ${name}`, onclick: remove}) : null;
  return el("li", {}, link, el("code", {textContent: expression}), button, told);
}

/** Change or delete a definition; where others would be broken, whoever looks is asked. Answers whether it was done. */
async function change(method, name, options) {
  try {
    await request(method, pathOf(name), options);
  } catch (failure) {
    if (!(failure instanceof ApiError) || failure.status !== 409) throw failure;
    const {definitions, boards} = failure.body;
    const users = [...definitions.map((each) => `the name ${each}`), ...boards.map((each) => `the board ${each}`)];
    const told = el("p", {textContent: `What uses ${name} would not be valid any more:`});
    const listed = el("ul", {className: "users"}, ...users.map((textContent) => el("li", {textContent})));
    const does = method === "DELETE" ? "Delete it" : "Change it";
    if (await ask(`${name} is used`, [told, listed], [["", "Cancel"], ["force", `${does} all the same`]]) !== "force") return false;
    await request(method, `${pathOf(name)}?force=true`, options);
  }
  return true;
}

function pathOf(name) {
  return `${PATH}/${encodeURIComponent(name)}`;
}
