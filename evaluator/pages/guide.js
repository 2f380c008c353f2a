// What to do while nothing is stored: commands to copy, for the very address of this page.
import {command} from "./copy.js";
import {el} from "./dom.js";
import {key} from "./key.js";

const PORTS = {collector: "1080", evaluator: "1081"};

/** The guide, as an element. */
export function guide() {
  const commands = {
    demo: command("", "send a made-up day of web requests"),
    curl: command("", "send one event"),
    put: command("", "send a file of events"),
  };
  const input = el("input", {type: "url", value: collector(), spellcheck: false, autocomplete: "off"});
  const change = () => fill(commands, input.value.trim().replace(/\/+$/, "") || collector());
  input.addEventListener("input", change);
  change();
  return el("section", {className: "guide"},
    el("h1", {textContent: "Nothing is stored yet"}),
    el("p", {textContent: "Send something, in whichever way you like. This page goes on by itself when the first event is here."}),
    step("A day of web requests, made up", "With a slow deploy and an outage in it, and live from then on until Ctrl-C.", commands.demo),
    step("One event of your own", "A type, and any data; its time is now.", commands.curl),
    step("A file of events", "One JSON object on each line; an optional time is ISO 8601.", commands.put),
    el("label", {className: "address"}, el("span", {textContent: "The collector’s address"}), input),
    el("p", {className: "waiting", role: "status"}, el("i"), "Waiting for the first event …"));
}

function step(title, text, {element}) {
  return el("div", {className: "step"}, el("h2", {textContent: title}), el("p", {className: "quiet", textContent: text}), element);
}

/** Where the collector is likely to be: on the port that it has unless told otherwise. */
function collector() {
  return `${location.protocol}//${location.hostname}:${PORTS.collector}`;
}

function fill(commands, address) {
  const usual = `http://127.0.0.1:${PORTS.collector}`;
  const own = location.origin === `http://127.0.0.1:${PORTS.evaluator}` ? "" : ` --evaluator ${location.origin}`;
  const header = key() ? " -H 'X-Api-Key: KEY'" : "";
  const url = address === usual ? "" : address;
  commands.demo.set(`bin/cube demo${url && ` --url ${url}`}${own}`);
  commands.curl.set(`curl -s ${address}/1.0/event${header} -d '{"type": "greeting", "data": {"text": "hello", "ms": 41}}'`);
  commands.put.set(`bin/cube put events.jsonl${url && ` --collector ${url}`}`);
}
