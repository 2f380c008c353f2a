// The daemons of the status: what each is, whether it lives, and what it takes.
import {now} from "./api.js";
import {ago} from "./card.js";
import {el} from "./dom.js";
import {bytes, number} from "./format.js";
import {part, table} from "./status-rows.js";

const COLUMNS = [["what", "Daemon"], ["state", "State"], ["rate", "A second"], ["waits", "Waits"], ["cpu", "CPU"], ["memory", "Memory"], ["since", "Started"], ["version", "Versions"]];
const FEW = COLUMNS.filter(([name]) => ["what", "state", "since"].includes(name));

export function daemonTable() {
  const made = part("Daemons", "No daemon tells of itself: their status_seconds is 0, or they are of an older version.");
  const body = made.element.lastElementChild;
  let isFew = null;
  let rows = null;
  return {
    element: made.element,
    set({daemons, restricted}) {
      if (restricted !== isFew) {
        isFew = restricted;
        rows = table("Daemons", restricted ? FEW : COLUMNS, ({process}) => process, cells);
        body.replaceChildren(rows.element);
      }
      rows.set(daemons);
      made.has(daemons.length > 0);
    },
  };
}

function cells(daemon) {
  const {kind, live, age_ms: age, started, host, pid, addresses, rate, cpu, versions} = daemon;
  const what = [el("b", {textContent: kind})];
  if (host) what.push(el("small", {textContent: `${host}, process ${pid}`}), ...Object.entries(addresses).map(([name, address]) => el("small", {textContent: name === "http" ? address : `${name} ${address}`})));
  return {
    className: live ? "" : "silent",
    what,
    state: live ? el("span", {className: "sign lives", textContent: "lives"})
      : [el("span", {className: "sign dead", textContent: "silent"}), el("small", {textContent: `heard of ${ago(age)}`})],
    since: el("time", {dateTime: started, title: started, textContent: ago(now() - Date.parse(started))}),
    ...(host && {
      rate: live ? `${number(rate)} ${kind === "collector" ? "events" : "questions"}` : "–",
      waits: waits(daemon),
      cpu: live ? `${number(Math.round(cpu * 1000) / 10)} %` : "–",
      memory: memoryOf(daemon),
      version: Object.entries(versions).map(([name, version], place) => el(place ? "small" : "span", {textContent: `${name} ${version}`})),
    }),
  };
}

function memoryOf({live, memory_bytes: size, kept_bytes: kept}) {
  if (!live) return "–";
  const all = el("span", {textContent: bytes(size)});
  return kept ? [all, el("small", {title: "Columns and answers that are kept for the next question", textContent: `${bytes(kept)} of it kept`})] : all;
}

/** What waits: in memory, and in the spool. */
function waits({kind, live, waiting, spool}) {
  if (kind !== "collector") return live ? `${number(waiting.computations)} computations` : "–";
  const found = [el("span", {textContent: live ? `${waiting.events.toLocaleString("en")} events` : "–"})];
  if (!spool) return found;
  const oldest = spool.oldest ? `, the first came ${ago(now() - Date.parse(spool.oldest))}` : "";
  found.push(el("small", {textContent: spool.events ? `spool: ${spool.events.toLocaleString("en")} events, ${bytes(spool.bytes)}${oldest}` : "spool: empty"}));
  if (spool.quarantined) found.push(el("small", {className: "sign dead", textContent: `${spool.quarantined.toLocaleString("en")} quarantined`}));
  if (spool.away) found.push(el("small", {className: "sign dead", textContent: "the store is away"}));
  return found;
}
