#!/usr/bin/env bash
# apache-log-parser (PyPI) 1.7.0: of a zone's offset only the first digit of the minutes is read.
#
# One would expect: Apache's %t ends in the zone as (`+' | `-') 4*digit, two of hours and two of minutes; India's
# +0530 is five and a half hours, and 13:55:36 there is 08:25:36 UTC.
# What happens: +0530 is five hours and THREE minutes, the time in UTC 08:52:36, and the zone is given out as +05:03:
# a log of India is 27 minutes late in all its times with zone, one of Nepal (+0545) 41, one of Newfoundland in
# summer (-0230) 27 minutes early. Beside a server of a whole hour's zone the order of events is wrong, and all of
# them land in other buckets than they were in. Whole hours are right.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check apache-log-parser==1.7.0
"$work/venv/bin/python" - <<'PY'
import datetime
import sys

import apache_log_parser

parse = apache_log_parser.make_parser('%h %l %u %t "%r" %>s %b')
late = {}
for zone in ("+0000", "-0700", "+0530", "+0545", "-0230"):
    line = f'127.0.0.1 - - [10/Oct/2000:13:55:36 {zone}] "GET /a HTTP/1.0" 200 2326'
    right = datetime.datetime.strptime("10/Oct/2000:13:55:36 " + zone, "%d/%b/%Y:%H:%M:%S %z")
    got = datetime.datetime.fromisoformat(parse(line)["time_received_utc_isoformat"])
    late[zone] = (got - right).total_seconds() / 60
    print(f"13:55:36 {zone}: {got:%H:%M:%S} UTC, right is {right.astimezone(datetime.timezone.utc):%H:%M:%S},", end=" ")
    print(f"{late[zone]:+.0f} minutes; with its zone {parse(line)['time_received_tz_isoformat']}")
sys.exit(late != {"+0000": 0, "-0700": 0, "+0530": 27, "+0545": 41, "-0230": -27})
PY
