#!/usr/bin/env bash
# duckdb (PyPI) 2.0.1: date_trunc('hour', TIMESTAMPTZ) makes one bucket of the two hours that are 2 o'clock in autumn.
#
# One would expect: the zone is Europe/Berlin, where 02:30+02:00 (00:30Z) and 02:30+01:00 (01:30Z) of 25 October
# 2026 are an hour apart. An hour's bucket holds events of one hour and begins no later than they do: 00:00Z and
# 01:00Z. date_trunc's page says it truncates to the precision given; it is the SQL most people group hours by.
# What happens: both events are put in the bucket 01:00Z. The first one lies before its own bucket, the hour 00:00Z
# is empty and 01:00Z has twice its events: a day of 25 hours with one event an hour has 24 groups. At a precision
# of a minute, and with time_bucket() for the same interval and zone, all 25 are there.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1
"$work/venv/bin/python" - <<'PY'
import sys

import duckdb

base = duckdb.connect()
base.execute("set timezone = 'Europe/Berlin'")
base.execute(
    "create table event as select unnest(generate_series(timestamptz '2026-10-24 22:30:00+00',"
    " timestamptz '2026-10-25 22:30:00+00', interval '1 hour')) as t"
)
ways = {
    "date_trunc('hour')": "date_trunc('hour', t)",
    "date_trunc('minute')": "date_trunc('minute', t)",
    "time_bucket('1 hour')": "time_bucket(interval '1 hour', t, 'Europe/Berlin')",
}
seen = {}
for name, bucket in ways.items():
    seen[name] = base.execute(
        "select count(*), count(*) filter (bucket > first), max(n)"
        f" from (select {bucket} bucket, min(t) first, count(*) n from event group by 1)"
    ).fetchone()
    print("25 events by %s: %d groups, %d begin after an event of theirs, largest %d" % (name, *seen[name]))
sys.exit(list(seen.values()) != [(24, 1, 2), (25, 0, 1), (25, 0, 1)])
PY
