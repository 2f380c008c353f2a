#!/usr/bin/env bash
# cloudevents (PyPI) 2.2.0: a list, or a boolean, as data is not JSON in binary mode.
#
# One would expect: with datacontenttype application/json the body is the JSON of the data, in both modes, as
# the JSON event format and the HTTP binding have it.
# What happens: JSONFormat.write_data makes JSON of objects alone and text of all else by str(): the list
# ["a", True] is the body `['a', True]`, True is `True`, NaN is `nan`, all as application/json. Structured mode
# has JSON. What a receiver's parser refuses is thus a valid event. Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
"$work/venv/bin/python" - <<'PY'
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def event(data: object) -> CloudEvent:
    given = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "application/json"}
    return CloudEvent(given, data)


bodies = []
for data in ({"a": ["a", True]}, ["a", True], True, 5, float("nan")):
    message = to_binary_event(event(data))
    bodies.append(message.body)
    print(f"{data!r}: {message.headers['content-type']} {message.body.decode()}")
structured = to_structured_event(event(["a", True])).body
print("structured:", structured.decode())
assert b'"data": ["a", true]' in structured
assert bodies == [b'{"a": ["a", true]}', b"['a', True]", b"True", b"5", b"nan"]
PY
