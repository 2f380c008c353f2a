// Rows that are kept by a key while their content changes: what is focused, selected or open stays so.
import {el} from "./dom.js";

/** Keeps the children of an element; set(items) makes, changes, moves and removes them.
 * keyOf(item): a text; make(item): {element, set(item)}. */
export function keyed(parent, keyOf, make) {
  const kept = new Map();
  return (items) => {
    const wanted = new Map(items.map((item) => [keyOf(item), item]));
    for (const [key, {element}] of kept) {
      if (wanted.has(key)) continue;
      element.remove();
      kept.delete(key);
    }
    let place = parent.firstElementChild;
    for (const [key, item] of wanted) {
      if (!kept.has(key)) kept.set(key, make(item));
      const row = kept.get(key);
      row.set(item);
      if (row.element === place) place = place.nextElementSibling;
      else parent.insertBefore(row.element, place); // an element that moves loses its focus: only those that must
    }
  };
}

/** A part of the view: a heading, what there is, or a sentence that there is nothing. */
export function part(title, empty, ...children) {
  const none = el("p", {className: "none", textContent: empty});
  const body = el("div", {hidden: true}, ...children);
  const id = `part-${title.toLowerCase().replaceAll(/\W+/g, "-")}`;
  const element = el("section", {className: "part", "aria-labelledby": id}, el("h2", {id, textContent: title}), none, body);
  return {element, has(some) { none.hidden = some; body.hidden = !some; }};
}

/** A table whose columns are [name, text] and whose rows are cells by the columns' names; narrow, each is a block. */
export function table(label, columns, keyOf, cells) {
  const rows = el("tbody");
  const set = keyed(rows, keyOf, () => {
    const made = columns.map(([name, text], place) => {
      const cell = el(place ? "td" : "th", {className: name});
      if (!place) cell.scope = "row";
      if (text) cell.dataset.label = text;
      return cell;
    });
    return {
      element: el("tr", {}, ...made),
      set(item) {
        const content = cells(item);
        this.element.className = content.className ?? "";
        columns.forEach(([name], place) => fill(made[place], content[name]));
      },
    };
  });
  const head = el("tr", {}, ...columns.map(([name, text]) => el("th", {scope: "col", className: name, textContent: text})));
  return {element: el("div", {className: "scroll", role: "group", ariaLabel: label, tabIndex: 0}, el("table", {className: "rows", ariaLabel: label}, el("thead", {}, head), rows)), set};
}

/** Put a text, an element or a list of these into a cell; what is there already stays. */
function fill(cell, content) {
  if (content instanceof Node || Array.isArray(content)) {
    const nodes = [content].flat();
    if (nodes.every((node, place) => node === cell.childNodes[place]) && nodes.length === cell.childNodes.length) return;
    return cell.replaceChildren(...nodes);
  }
  if (cell.textContent !== (content ?? "")) cell.textContent = content ?? "";
}
