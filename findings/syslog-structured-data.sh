#!/usr/bin/env bash
# syslog-rfc5424-parser (PyPI) 0.3.2 and nsyslog-parser (npm) 0.10.1: structured data is not what was sent.
#
# One would expect: RFC 5424 lets a parameter stand several times in one element; the RFC's own element "origin" (7.2)
# has an `ip` for each address of the sender. Its own elements' names have no "@", only those of others do. `\]` in a
# value is an escape for `]` (6.3.3). PROCID (6.2.6) is text.
# What happens: both keep the last of equal parameters alone, in silence, and leave `\]` as two characters. npm's knows
# no element without "@": "[origin ip=" is dropped and the rest of it is put before the text of the message; the
# same with "timeQuality", which says how far the sender's clock is to be trusted, and "meta". Python's makes a number
# of a process id of digits, so "0042" is 42, while "web.1" stays a text.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >lines <<'LINES'
<165>1 2026-10-11T22:14:15.003Z host app 0042 - [origin ip="192.0.2.1" ip="192.0.2.129"] text
<165>1 2026-10-11T22:14:15.003Z host app 0042 - [timeQuality tzKnown="1" isSynced="0"] text
<165>1 2026-10-11T22:14:15.003Z host app 0042 - [ex@1 ip="192.0.2.1" ip="192.0.2.129" key="a\]b"] text
LINES
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check syslog-rfc5424-parser==0.3.2
npm install --silent --no-audit --no-fund nsyslog-parser@0.10.1 >/dev/null
cat >probe.py <<'PY'
import json
import pathlib

from syslog_rfc5424_parser import SyslogMessage

for line in pathlib.Path("lines").read_text().splitlines():
    message = SyslogMessage.parse(line).as_dict()
    print(json.dumps([message["sd"], message["procid"], message["msg"]]))
PY
cat >probe.cjs <<'JS'
const parse = require("nsyslog-parser");

for (const line of require("node:fs").readFileSync("lines", "utf8").trimEnd().split("\n")) {
  const { structuredData, pid, message } = parse(line);
  console.log(JSON.stringify([structuredData, pid, message]));
}
JS
{ venv/bin/python probe.py; node probe.cjs; } | tee seen
cat >expected <<'EXPECTED'
[{"origin": {"ip": "192.0.2.129"}}, 42, "text"]
[{"timeQuality": {"tzKnown": "1", "isSynced": "0"}}, 42, "text"]
[{"ex@1": {"ip": "192.0.2.129", "key": "a\\]b"}}, 42, "text"]
[[],"0042","ip=\"192.0.2.1\" ip=\"192.0.2.129\"] text"]
[[],"0042","tzKnown=\"1\" isSynced=\"0\"] text"]
[[{"$id":"ex@1","ip":"192.0.2.129","key":"a\\]b"}],"0042","text"]
EXPECTED
cmp seen expected
