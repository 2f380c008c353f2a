#!/usr/bin/env bash
# @dsnp/parquetjs (npm) 1.8.8: in a column of JSON a list of one is its element, and an empty list is null.
#
# One would expect: a column of type JSON takes any JSON value, and a list is one. Within an object lists stay what
# they are.
# What happens: a list is taken for the values of a repeated field before anybody looks at the type: ["a"] is written
# as "a", [] as null, [[1, 2]] as [1, 2], without a word. It shows only where a row has two: "too many values for field".
# So tags that most events have one of are text in the file. Besides, a DATE is cut towards 1970: what has a time of
# day is that day from 1970 on, and the next day before: 1965-05-03T22:00Z is 1965-05-04.
# Seen in November 2026, written and read by the package itself. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @dsnp/parquetjs@1.8.8
node - <<'JS'
const { ParquetReader, ParquetSchema, ParquetWriter } = require("@dsnp/parquetjs");

async function stored(type, value) {
  const schema = new ParquetSchema({ v: { type, optional: true } });
  const writer = await ParquetWriter.openFile(schema, "one.parquet");
  try {
    await writer.appendRow({ v: value });
  } catch (error) {
    return error.message;
  }
  await writer.close();
  const reader = await ParquetReader.openFile("one.parquet");
  const { v } = await reader.getCursor().next();
  await reader.close();
  return v;
}

async function main() {
  const values = [{ tags: ["a"] }, "a", ["a", "b"], ["a"], [], [[1, 2]]];
  const seen = [];
  for (const value of values) {
    seen.push(await stored("JSON", value));
    console.log(`JSON ${JSON.stringify(value)}: ${JSON.stringify(seen.at(-1))}`);
  }
  const days = [];
  for (const time of ["1965-05-03T22:00:00Z", "1975-05-03T22:00:00Z"]) {
    days.push((await stored("DATE", new Date(time))).toISOString().slice(0, 10));
    console.log(`DATE ${time}: ${days.at(-1)}`);
  }
  const expected = [{ tags: ["a"] }, "a", "too many values for field: v", "a", null, [1, 2]];
  const isSame = JSON.stringify([seen, days]) === JSON.stringify([expected, ["1965-05-04", "1975-05-03"]]);
  process.exit(isSame ? 0 : 1);
}

main();
JS
