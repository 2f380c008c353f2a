#!/usr/bin/env bash
# syslog-parse (npm) 2.0.0: what a line's time is depends on the day and the millisecond at which it is parsed.
#
# One would expect: RFC 3164's time has no year, so the year has to be guessed; month, day, hour, minute and second
# stand in the line, and there is no fraction. The same line parsed twice is of the same time.
# What happens: the parser takes the present time and sets month, day, hour, minute and second in it, in this order. The
# milliseconds of the present stay, so a line read twice is two times, neither a whole second, and no hash of the
# time finds the doublet. On the 31st (the 29th, 30th) "Feb 05" first becomes February 31, that is March, and then
# the 5th of that: the line of 5 February is of 5 March, and lines of November are of December.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund syslog-parse@2.0.0 >/dev/null
cat >probe.mjs <<'JS'
import parse from "syslog-parse";

const Real = Date;
// The parser's `new Date()`: a clock that stands still at the given time.
const at = (now, line) => {
  globalThis.Date = class extends Real {
    constructor(...given) {
      super(...(given.length ? given : [now]));
    }
  };
  const { time } = parse(line);
  globalThis.Date = Real;
  return time.toISOString();
};
const february = "<38>Feb 05 01:02:03 h app[253]: hello";
const november = "<38>Nov 07 01:02:03 h app[253]: hello";
const cases = [
  [february, "2026-03-20T12:00:00.111Z", "2026-02-05T01:02:03.111Z"],
  [february, "2026-03-20T12:00:00.222Z", "2026-02-05T01:02:03.222Z"],
  [february, "2026-03-31T12:00:00.111Z", "2026-03-05T01:02:03.111Z"],
  [november, "2026-12-30T12:00:00.111Z", "2026-11-07T01:02:03.111Z"],
  [november, "2026-12-31T12:00:00.111Z", "2026-12-07T01:02:03.111Z"],
];
let changed = 0;
for (const [line, now, seen] of cases) {
  const got = at(now, line);
  console.log(`${line.slice(4, 19)}, parsed on ${now}: ${got}`);
  changed += got !== seen;
}
process.exit(changed ? 1 : 0);
JS
TZ=UTC node probe.mjs
