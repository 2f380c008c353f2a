#!/usr/bin/env bash
# logfmt (PyPI) 0.4: behind a backslash in a quoted value all of the line is lost, that value included.
#
# One would expect of  level=info path="C:\\temp" status=500 ms=12  the path C:\temp, and status and ms beside it:
# so Go's loggers write a backslash. Of  path="C:\temp" status=500  , as the package itself writes it, at least status.
# What happens: a backslash makes the parser wait for a quote, however far, and take that for a part of the value. So
# the closing quote closes nothing: path is True, and status and ms are not there. Nothing is raised. What format() has
# written parse() reads so, too: a field with a Windows path or a regular expression costs all behind it.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check logfmt==0.4
"$work/venv/bin/python" - <<'PY'
import sys

import logfmt

lines = {
    "as Go's loggers write it": r'level=info path="C:\\temp" status=500 ms=12',
    "as the package writes it": next(logfmt.format({"level": "info", "path": r"C:\temp", "status": 500, "ms": 12})),
    "without one": 'level=info path="C:/temp" status=500 ms=12',
}
seen = {}
for name, line in lines.items():
    (seen[name],) = logfmt.parse([line])
    print(f"{name}: {line}\n    {seen[name]}")
whole = {"level": "info", "path": "C:/temp", "status": "500", "ms": "12"}
print("with a quote:", next(logfmt.parse([r'level=info msg="a \"b\" c" status=500'])))
sys.exit([seen[name].get("status") for name in lines] != [None, None, "500"]
         or any(seen[name]["path"] is not True for name in list(lines)[:2])
         or seen["without one"] != {**whole, "level": seen["without one"]["level"]})
PY
