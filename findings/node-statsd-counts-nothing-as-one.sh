#!/usr/bin/env bash
# node-statsd (npm) 0.1.1: increment(name, 0) counts one.
#
# One would expect: the README's increment takes a value, "default is 1", so adding the number of rows, bytes or
# errors of a batch adds what was there, and a batch without errors adds nothing.
# What happens: a value of 0 is taken for one that is missing and is sent as 1, decrement's 0 as -1: a counter of
# errors counts one for each batch that had none. timing, gauge and histogram send the 0.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund node-statsd@0.1.1 >/dev/null
cat >probe.cjs <<'JS'
const dgram = require("node:dgram");
const StatsD = require("node-statsd");

const expected = ["errors:3|c", "errors:1|c", "errors:-1|c", "took:0|ms", "level:0|g"];
const received = [];
const done = (code) => (clearTimeout(late), sink.close(), client.close(), (process.exitCode = code));
const sink = dgram.createSocket("udp4");
let client;
const late = setTimeout(() => done(1), 20000);
sink.on("message", (message) => {
  received.push(message.toString());
  if (received.length < expected.length) return;
  console.log("increment 3, increment 0, decrement 0, timing 0, gauge 0:", received.join(", "));
  done(expected.every((line) => received.includes(line)) ? 0 : 1);
});
sink.bind(0, "127.0.0.1", () => {
  client = new StatsD({ host: "127.0.0.1", port: sink.address().port });
  client.increment("errors", 3);
  client.increment("errors", 0);
  client.decrement("errors", 0);
  client.timing("took", 0);
  client.gauge("level", 0);
});
JS
node probe.cjs
