// Variables of boards: `$host` in an expression stands for the value that is chosen. The evaluator does the same for
// boards that it keeps warm (cube/expression/variables.py); one table of cases holds both.

const LEXEME = /"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[\p{L}\p{N}_$]+|./gsu;

/** Put the values of variables ({name: value}) in their places as literals. Where a value is null, which is all of
 * them, the whole filter that names it is left out: sum(request.eq(host, $host)) becomes sum(request). */
export function substituted(text, values) {
  const lexemes = text.match(LEXEME) ?? [];
  for (let place = 0; place < lexemes.length; place++) {
    const value = valueOf(lexemes[place], values);
    if (value === undefined) continue;
    if (value !== null) lexemes[place] = JSON.stringify(value);
    else lexemes.fill("", ...filterAround(lexemes, place));
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

/** Where the innermost `.name(…)` around a place begins and ends; nowhere ([0, 0]) where there is none. */
function filterAround(lexemes, place) {
  let depth = 0;
  for (let i = place - 1; i >= 0; i--) {
    if (lexemes[i] === ")") depth += 1;
    else if (lexemes[i] === "(" && depth > 0) depth -= 1;
    else if (lexemes[i] === "(") {
      const word = before(lexemes, i);
      const dot = before(lexemes, word);
      if (dot >= 0 && lexemes[dot] === "." && !"()".includes(lexemes[word])) return [dot, end(lexemes, i)];
    }
  }
  return [0, 0];
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
