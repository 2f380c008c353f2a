#!/usr/bin/env bash
# pyarrow 26.0.1: a time beyond Arrow's calendar, cast to text, is neither an error nor null, but a sentence.
#
# DuckDB 2.0.1 writes a timestamp 'infinity' to Parquet as the greatest 64-bit number of microseconds, which is a
# valid timestamp[us]. One would expect: a cast to string fails, as a safe cast does elsewhere (and as to_pylist
# does), or gives null where safe=False.
# What happens: with and without it gives "<value out of range: 9223372036854775807>", which from then on stands
# among the data as if somebody had stored it.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyarrow==26.0.1 duckdb==2.0.1
venv/bin/python - <<'PY'
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

duckdb.sql("copy (select timestamp 'infinity' as t) to 'x.parquet'")
column = pq.read_table("x.parquet")["t"]
safe = column.cast(pa.string()).to_pylist()
unsafe = column.cast(pa.string(), safe=False).to_pylist()
print(column.type, column.cast(pa.int64()).to_pylist(), "as text:", safe, "and with safe=False:", unsafe)
sys.exit(not safe == unsafe == ["<value out of range: 9223372036854775807>"])
PY
