#!/usr/bin/env bash
# avsc (npm) 5.7.9: the schema that is inferred for a time in milliseconds moves it by 39 seconds.
#
# One would expect: `Type.forValue(value)`, which the README shows for encoding values like the one given, makes
# a type that can hold at least that value: Avro's double has the 53 bits of every JavaScript number, its
# long has whole ones.
# What happens: every number that is not an integer of 32 bits, and is below 2^53, is inferred as "float", which has
# 24 bits. 1700000000123 is read back as 1700000038912, an id of 3000000001 as 3000000000, 0.1 as 0.10000000149.
# From 2^53 on it is "double". Nothing is raised: `isValid` is true, the file is valid Avro, its times are false.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund avsc@5.7.9 >/dev/null
cat >probe.cjs <<'JS'
const avro = require("avsc");

const event = { time: 1700000000123, order: 3000000001, ms: 0.1, count: 5, huge: 2 ** 53 + 2 };
const type = avro.Type.forValue(event);
const back = type.fromBuffer(type.toBuffer(event));
const expected = { time: 1700000038912, order: 3000000000, ms: Math.fround(0.1), count: 5, huge: 2 ** 53 + 2 };
for (const { name, type: kind } of type.schema().fields) {
  console.log(`${name}: ${event[name]}, inferred ${kind}, read back ${back[name]}`);
}
console.log("isValid:", type.isValid(event), "- the time is off by", (back.time - event.time) / 1000, "s");
process.exit(Object.keys(event).every((name) => back[name] === expected[name]) && type.isValid(event) ? 0 : 1);
JS
node probe.cjs
