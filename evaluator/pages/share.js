// To hand over what one sees: a link, a command, code, values, a picture.
import {address} from "./api.js";
import {theme} from "./colours.js";
import {el, say} from "./dom.js";
import {gridParams} from "./grid.js";
import {read} from "./state.js";

/** A menu of what can be copied; seen(): {set, query, chart} of what is shown now. */
export function shareMenu(seen) {
  const menu = el("details", {className: "menu"}, el("summary", {textContent: "Share"}));
  const actions = [
    ["Copy link", () => copy(link(seen()), "The link")],
    ["Copy link to just this span", () => copy(link(seen(), true), "The link")],
    ["Copy as curl", () => copy(curl(seen()), "The command")],
    ["Copy as Python", () => copy(python(seen()), "The code")],
    ["Copy as CSV", () => copy(csv(seen().set), "The values")],
    ["Save as CSV", () => save(new Blob([csv(seen().set)], {type: "text/csv"}), "cube.csv")],
    ["Save as PNG", () => picture(seen().chart)],
  ];
  const items = actions.map(([textContent, work]) => el("button", {type: "button", textContent, onclick: () => {
    menu.open = false;
    work();
  }}));
  menu.append(el("div", {className: "items"}, ...items));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.firstChild.focus();
  });
  document.addEventListener("click", ({target}) => { if (!menu.contains(target)) menu.open = false; });
  return menu;
}

function link({query}, isFixed) {
  const wanted = read();
  if (isFixed) {
    wanted.set("from", new Date(query.start).toISOString());
    wanted.set("to", new Date(stopOf(query)).toISOString());
  }
  return `${location.origin}/?${wanted}`;
}

function stopOf({start, step, count, times}) {
  return times?.[count] ?? start + count * step;
}

function urls({query}) {
  const [start, stop] = [query.start, stopOf(query)].map((time) => new Date(time).toISOString());
  return Object.values(query.expressions).map((expression) => ({expression, start, stop, ...gridParams(query), limit: query.count}));
}

function curl(seen) {
  return urls(seen).map((params) => `curl -s ${quoted(location.origin + address("/1.0/metric", params))}`).join("\n");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function python(seen) {
  const calls = urls(seen).map((params) => `    ${JSON.stringify(params)},`);
  return [
    "import json", "from urllib.parse import urlencode", "from urllib.request import urlopen", "",
    "for query in (", ...calls, "):",
    `    with urlopen(${JSON.stringify(`${location.origin}/1.0/metric?`)} + urlencode(query)) as answer:`,
    "        for row in json.load(answer):",
    '            print(row["time"], row.get("group", ""), row.get("value"))', "",
  ].join("\n");
}

/** All shown series: a column for each, after the time. */
export function csv(set) {
  const series = set.shown;
  const lines = [["time", ...series.map(({label}) => label)].map(field).join(",")];
  for (let i = 0; i < set.count; i++) {
    const values = series.map(({values}) => (Number.isNaN(values[i]) ? "" : values[i]));
    lines.push([new Date(set.edge(i)).toISOString(), ...values].join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

function field(text) {
  // A spreadsheet takes what begins so for a formula; the quote keeps it a text.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function picture(chart) {
  const drawn = chart?.picture();
  if (!drawn) return say("This kind of chart has no picture: save it as CSV.");
  const whole = el("canvas", {width: drawn.width, height: drawn.height});
  const context = whole.getContext("2d");
  context.fillStyle = theme().paper;
  context.fillRect(0, 0, whole.width, whole.height);
  context.drawImage(drawn, 0, 0);
  whole.toBlob((blob) => save(blob, "cube.png"));
}

function save(blob, name) {
  const link = el("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`${name} is saved.`);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no HTTPS: the older way, from a field that is chosen
    const area = el("textarea", {value: text, className: "skip"});
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} is copied.`);
}

