// Variables of boards: `$host` in an expression stands for the value that is chosen. The evaluator does the same for
// boards that it keeps warm (cube/expression/variables.py); one table of cases holds both.

const LEXEME = /"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[\p{L}\p{N}_$]+|./gsu;

const FILTERS = ["eq", "ne", "gt", "ge", "lt", "le", "re", "in", "nin", "exists", "or", "and", "not"];

/** A condition that every event passes. */
const ALWAYS = "exists(time())";

/** Put the values of variables ({name: value}) in their places as literals. Where a value is null, which is all of
 * them, the whole filter that names it is left out: sum(request.eq(host, $host)) becomes sum(request); what is a
 * condition, as in if(eq(host, $host), ms), or may be the only one of a share, becomes one that every event passes. */
export function substituted(text, values) {
  const lexemes = text.match(LEXEME) ?? [];
  for (let place = 0; place < lexemes.length; place++) {
    const value = valueOf(lexemes[place], values);
    if (value === undefined) continue;
    if (value !== null) lexemes[place] = JSON.stringify(value);
    else leaveOut(lexemes, place);
  }
  return lexemes.join("");
}

/** A text of the same length with a literal for each variable, and what gives their names back to what is said of it. */
export function veiled(text, names) {
  const lexemes = text.match(LEXEME) ?? [];
  const values = Object.fromEntries(names.map((name) => [name, true]));
  const seen = [];
  const veil = lexemes.map((lexeme, place) => {
    if (place === lexemes.length - 1 && isBegun(lexeme, names)) return lexeme.length === 1 ? "0" : `"${"_".repeat(lexeme.length - 2)}"`;
    if (valueOf(lexeme, values) === undefined) return lexeme;
    // A character of private use for each: nobody's text has them, and the literal is as long as the name was.
    const literal = `"${String.fromCharCode(0xe000 + names.indexOf(lexeme.slice(1))).repeat(lexeme.length - 2)}"`;
    if (lexeme.length > 2) seen.push([literal, lexeme]);
    return literal;
  });
  return {text: veil.join(""), unveil: (said) => seen.reduce((whole, [literal, name]) => whole.replaceAll(literal, name), said)};
}

function isBegun(lexeme, names) {
  return lexeme.startsWith("$") && names.some((name) => name !== lexeme.slice(1) && name.startsWith(lexeme.slice(1)));
}

function valueOf(lexeme, values) {
  const name = lexeme.startsWith("$") ? lexeme.slice(1) : "";
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

/** Leave out the innermost filter around a place, with those that it is directly in; nothing where there is none. */
function leaveOut(lexemes, place) {
  let found = null;
  for (const {word, opening} of callsAround(lexemes, place)) {
    const name = lexemes[word];
    if (FILTERS.includes(name)) found = {word, opening};
    else if (found) return replace(lexemes, found, name);
  }
  if (found) replace(lexemes, found, "");
}

function replace(lexemes, {word, opening}, outer) {
  const dot = before(lexemes, word);
  const isDotted = dot >= 0 && lexemes[dot] === ".";
  const begin = isDotted ? dot : word;
  lexemes.fill("", begin, end(lexemes, opening));
  if (!isDotted) lexemes[begin] = ALWAYS;
  else if (outer === "share") lexemes[begin] = `.${ALWAYS}`;
}

/** The calls around a place, from the innermost on: where the name of each stands, and its bracket. */
function* callsAround(lexemes, place) {
  let depth = 0;
  for (let i = place - 1; i >= 0; i--) {
    if (lexemes[i] === ")") depth += 1;
    else if (lexemes[i] === "(" && depth > 0) depth -= 1;
    else if (lexemes[i] === "(") {
      const word = before(lexemes, i);
      if (word >= 0 && /^[\p{L}]/u.test(lexemes[word])) yield {word, opening: i};
    }
  }
}

/** The place of what stands before another one, past blanks; -1 where nothing does. */
function before(lexemes, place) {
  do place -= 1; while (place >= 0 && !lexemes[place].trim());
  return place;
}

function end(lexemes, opening) {
  let depth = 0;
  for (let i = opening; i < lexemes.length; i++) {
    depth += (lexemes[i] === "(") - (lexemes[i] === ")");
    if (depth === 0) return i + 1;
  }
  return lexemes.length;
}
