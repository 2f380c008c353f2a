#!/usr/bin/env bash
# amplitude-analytics (PyPI) 1.3.0: one null in an array takes all of an event's properties away, and says nothing.
#
# One would expect: properties are a JSON object, and `{"path": "/a", "tags": ["x", null]}` is one. null as a value
# by itself is accepted (and left out). What the client does not like it refuses, or it leaves out that property.
# What happens: the event goes out without event_properties, "path" included; nothing is raised or logged, and the log
# says "Event sent successfully". An array in an array, a tuple and a datetime do the same. A `time` that is a float,
# as time.time() * 1000 gives, is logged as an error, but the event is sent all the same, with the time of the call:
# an import of the past becomes events of today. price=5 is logged and left out, price=5.0 is sent.
# Seen in November 2026. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check amplitude-analytics==1.3.0
"$work/venv/bin/python" - <<'PY'
import http.server
import json
import logging
import sys
import threading
import time

from amplitude import Amplitude, BaseEvent

received = {}
logged = []


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"]:
            received[event["event_type"]] = event
        self.send_response(200)
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b'{"code":200}')

    def log_message(self, *arguments):
        pass


class Errors(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())


logging.getLogger("amplitude").addHandler(Errors(logging.ERROR))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Amplitude("key")
client.configuration.server_url = f"http://127.0.0.1:{server.server_port}/2/httpapi"
THEN = 1_700_000_000_123
cases = {
    "plain": {"event_properties": {"path": "/a", "tags": ["x"]}},
    "null": {"event_properties": {"path": "/a", "tags": None}},
    "null in an array": {"event_properties": {"path": "/a", "tags": ["x", None]}},
    "array in an array": {"event_properties": {"path": "/a", "matrix": [[1, 2]]}},
    "float time": {"time": float(THEN)},
    "price=5": {"price": 5},
    "price=5.0": {"price": 5.0},
}
began = time.time() * 1000
errors = {}
for name, settings in cases.items():
    logged.clear()
    client.track(BaseEvent(name, user_id="user-1", **{"time": THEN, **settings}))
    errors[name] = len(logged)
client.flush()
deadline = time.monotonic() + 30
while len(received) < len(cases) and time.monotonic() < deadline:
    time.sleep(0.05)
seen = {}
for name in cases:
    event = received[name]
    when = "then" if event["time"] == THEN else "now" if event["time"] >= began - 1000 else "another time"
    seen[name] = (event.get("event_properties"), event.get("price"), when, errors[name])
    print("%s: properties %s, price %s, time %s, %d errors logged" % (name, *seen[name]))
sys.exit(seen != {
    "plain": ({"path": "/a", "tags": ["x"]}, None, "then", 0),
    "null": ({"path": "/a"}, None, "then", 0),
    "null in an array": (None, None, "then", 0),
    "array in an array": (None, None, "then", 0),
    "float time": (None, None, "now", 1),
    "price=5": (None, None, "then", 1),
    "price=5.0": (None, 5.0, "then", 0),
})
PY
