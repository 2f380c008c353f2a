#!/usr/bin/env bash
# mingo (npm) 7.2.7, MongoDB's aggregation in JavaScript: an event after local midnight is in the day before.
#
# One would expect what MongoDB's manual says: $dateTrunc with a timezone truncates in that zone, $isoWeekYear is
# the year that the ISO week belongs to, and $dateAdd of a month to 31 January gives the last day of February.
# What happens: $dateTrunc takes the day from the UTC date and then the zone's midnight of it. Berlin's events from
# 00:00 to 01:59 in summer, India's from 00:00 to 05:29, are in yesterday's bucket, a whole day early; India's hours
# begin at the half hour. $isoWeekYear is just the year: 2025-12-31 is week 1 of "2025" and meets the first
# days of January 2025, 2027-01-01 is week 53 of "2027", which has 52. 31 January and a month are 3 March.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund mingo@7.2.7 >/dev/null
cat >probe.cjs <<'JS'
const { aggregate } = require("mingo");

const ask = (expression, time) => aggregate([{ t: new Date(time) }], [{ $project: { r: expression } }])[0].r;
const text = (value) => (value instanceof Date ? value.toISOString() : String(value));
const trunc = (unit, timezone) => ({ $dateTrunc: { date: "$t", unit, timezone } });
const cases = [
  ["Berlin's day, 2 July 00:30", trunc("day", "Europe/Berlin"), "2026-07-01T22:30:00Z",
    "2026-07-01T22:00:00.000Z", "2026-06-30T22:00:00.000Z"],
  ["Berlin's day, 2 July 02:30", trunc("day", "Europe/Berlin"), "2026-07-02T00:30:00Z",
    "2026-07-01T22:00:00.000Z", "2026-07-01T22:00:00.000Z"],
  ["Kolkata's day, 2 July 00:10", trunc("day", "Asia/Kolkata"), "2026-07-01T18:40:00Z",
    "2026-07-01T18:30:00.000Z", "2026-06-30T18:30:00.000Z"],
  ["Kolkata's hour, 2 July 04:10", trunc("hour", "Asia/Kolkata"), "2026-07-01T22:40:00Z",
    "2026-07-01T22:30:00.000Z", "2026-07-01T22:00:00.000Z"],
  ["ISO week", { $isoWeek: "$t" }, "2025-12-31T12:00:00Z", "1", "1"],
  ["ISO week's year", { $isoWeekYear: "$t" }, "2025-12-31T12:00:00Z", "2026", "2025"],
  ["%G-W%V", { $dateToString: { date: "$t", format: "%G-W%V" } }, "2027-01-01T12:00:00Z", "2026-W53", "2027-W53"],
  ["a month later", { $dateAdd: { startDate: "$t", unit: "month", amount: 1 } }, "2026-01-31T12:00:00Z",
    "2026-02-28T12:00:00.000Z", "2026-03-03T12:00:00.000Z"],
];
let changed = 0;
for (const [name, expression, time, right, wrong] of cases) {
  const got = text(ask(expression, time));
  console.log("%s of %s: %s (by the manual %s)", name, time, got, right);
  changed += got !== wrong;
}
process.exit(changed ? 1 : 0);
JS
node probe.cjs
