#!/usr/bin/env bash
# influx-line-protocol (PyPI) 0.1.5: a float goes out with six digits, so 1234567.0 is stored as 1234570.
#
# One would expect: a field that is a float is a double of 64 bits in line protocol, with 15 to 17 digits, and the
# package writes the one that it was given; what repr() writes reads back as the same.
# What happens: it is written with "%g": a price of 19999.99 arrives as 20000, a counter of 1234567.0 as 1.23457e+06,
# and of the time 1700000123.5 nothing is left but 1.7e+09. There is no warning; integers are whole.
# Seen in November 2026, read back by line-protocol-parser 2.0.1. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check influx-line-protocol==0.1.5 line-protocol-parser==2.0.1
"$work/venv/bin/python" - <<'PY'
import sys

from influx_line_protocol import Metric
from line_protocol_parser import parse_line

given = {"price": 19999.99, "bytes": 1234567.0, "until": 1700000123.5, "ratio": 0.125, "count": 1234567}
metric = Metric("sale")
for name, value in given.items():
    metric.add_value(name, value)
line = str(metric)
read = parse_line(line)["fields"]
print(line)
for name, value in given.items():
    print(f"{name}: given {value}, stored {read[name]}")
sys.exit(read != {"price": 20000.0, "bytes": 1234570.0, "until": 1.7e9, "ratio": 0.125, "count": 1234567})
PY
