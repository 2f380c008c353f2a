"""Requests of foreign clients, and what random changes make of them."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tests.fuzz.claims import SECRET
from tests.fuzz.inputs import Inputs, to_json


@dataclass(frozen=True, slots=True)
class Sample:
    """One request as a client sends it; ``body`` is JSON, or bytes as they are."""

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


_TIME = "2026-01-02T03:04:05.678Z"
_INNER = {
    "schema": "iglu:com.acme/fuzz_a/jsonschema/1-0-0",
    "data": {"schema": "fuzz_a", "data": {"a": [1, {"b": 2}]}},
}
_UE = base64.urlsafe_b64encode(to_json(_INNER)).decode()
_SNOWPLOW = {
    "e": "ue",
    "ue_px": _UE,
    "cx": _UE,
    "eid": "22880d02-9645-45b8-b192-682e14e24e03",
    "dtm": "1795321588709",
    "tv": "py-1.1.0",
    "p": "pc",
    "res": "1920x1080",
    "vid": "3",
    "se_va": "12.5",
    "x_api_key": f"['{SECRET}']",
}
_LOG = {
    "timeUnixNano": "1700000000123000000",
    "severityNumber": 9,
    "traceId": "5b8efff798038103d269b633813fc60c",
    "body": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
    "eventName": "fuzz_a",
    "attributes": [
        {"key": "a.b", "value": {"arrayValue": {"values": [{"intValue": "3"}, {"bytesValue": "AP8="}]}}}
    ],
}
_CLOUD = {
    "id": "1",
    "source": "/s",
    "type": "fuzz.a",
    "specversion": "1.0",
    "time": _TIME,
    "data_base64": "AP8=",
}
_SEGMENT = {
    "type": "track",
    "event": "Fuzz A",
    "userId": "u",
    "messageId": "m",
    "timestamp": _TIME,
    "properties": {"n": 1},
    "context": {"ip": "1.2.3.4"},
    "anonymousId": None,
}
_POSTHOG = {
    "event": "fuzz a",
    "distinct_id": "u",
    "uuid": "m",
    "timestamp": _TIME,
    "properties": {"n": 1, "token": SECRET},
    "$set": {"a": 1},
}
_MIXPANEL = {
    "event": "fuzz a",
    "properties": {"token": SECRET, "distinct_id": "u", "time": 1700000000.5, "$insert_id": "i", "n": 1},
}
_TRACK = {
    "source": {"id": SECRET},
    "session": {"id": "x"},
    "profile": None,
    "context": {},
    "options": {"saveEvents": True},
    "events": [
        {"type": "fuzz-a", "time": {"create": _TIME}, "properties": {"a": 1}, "options": {"tags": ["t"]}}
    ],
}
_COLLECTD = {
    "values": [1.5, None],
    "dstypes": ["gauge", "derive"],
    "dsnames": ["rx", "tx"],
    "time": 1795321715.198,
    "interval": 1.0,
    "host": "h",
    "plugin": "p",
    "plugin_instance": "",
    "type": "t",
    "type_instance": "",
}
_EYE = {
    "session_id": "s",
    "category": "c",
    "name": "n",
    "timestamp": "2021-01-01 09:15:27.243860",
    "data": {"a": 1},
}
_JSON = (("Content-Type", "application/json"),)
_FORM = (("Content-Type", "application/x-www-form-urlencoded"),)

SAMPLES = (
    Sample(
        "POST",
        "/tp2",
        {"schema": "iglu:x/payload_data/jsonschema/1-0-4", "data": [_SNOWPLOW, _SNOWPLOW]},
        _JSON,
    ),
    Sample("GET", "/i?" + urlencode(_SNOWPLOW)),
    Sample("POST", "/collectd", [_COLLECTD, _COLLECTD], _JSON),
    Sample(
        "POST", "/collectd", [{"labels": {"alertname": "a"}, "annotations": {}, "startsAt": _TIME}], _JSON
    ),
    Sample("POST", "/api/event/", _EYE, _JSON),
    Sample("POST", "/api/event/", urlencode({**_EYE, "data": "{}"}).encode(), _FORM),
    Sample("GET", "/api/event/?session_id=s&timestamp_after=2021-01-01&limit=3&offset=1&name=n"),
    Sample("POST", "/track", _TRACK, _JSON),
    Sample("POST", f"/collect/fuzz-a/{SECRET}/session", {"a": 1}, _JSON),
    Sample("GET", f"/collect/fuzz-a/{SECRET}?a=1&b=2"),
    Sample("POST", "/cloudevents", _CLOUD, (("Content-Type", "application/cloudevents+json"),)),
    Sample("POST", "/", [_CLOUD, _CLOUD], (("Content-Type", "application/cloudevents-batch+json"),)),
    Sample(
        "POST",
        "/",
        {"a": 1},
        (
            *_JSON,
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "fuzz.a"),
            ("ce-specversion", "1.0"),
            ("ce-subject", "%C3%A9 100%"),
        ),
    ),
    Sample(
        "POST",
        "/v1/logs",
        {
            "resourceLogs": [
                {
                    "resource": {"attributes": []},
                    "scopeLogs": [{"scope": {"name": "s"}, "logRecords": [_LOG]}],
                }
            ]
        },
        _JSON,
    ),
    Sample(
        "POST",
        "/v1/logs",
        bytes.fromhex("0a1c0a00121812160a0012120900f8d3c1d3d5f51710092a030a0161"),
        (("Content-Type", "application/x-protobuf"),),
    ),
    Sample(
        "POST",
        "/v1/batch",
        {"batch": [_SEGMENT, {**_SEGMENT, "type": "identify"}], "writeKey": SECRET},
        _JSON,
    ),
    Sample("POST", "/v1/page", {**_SEGMENT, "name": "n", "writeKey": SECRET}, _JSON),
    Sample("POST", "/write?db=d", b'fuzz_a,t=1 f=1i,g="x\\"y",h=t 1700000000123000000\nfuzz_a f=2.5\n'),
    Sample("POST", "/api/v2/write?bucket=d&precision=ms", b"fuzz_a f=1 1700000000123\n"),
    Sample(
        "POST",
        "/loki/api/v1/push",
        {"streams": [{"stream": {"a": "b"}, "values": [["1700000000123000000", '{"a": 1}', {"m": "n"}]]}]},
        _JSON,
    ),
    Sample(
        "POST",
        "/loki/api/v1/push",
        bytes.fromhex("1e740a1c0a077b613d2262227d12110a0c08f8d3c1aa0610c0d5d63a120161"),
        (("Content-Type", "application/x-protobuf"),),
    ),
    # The key in a header: names in bytes are changed, too, and a key under another name is data.
    Sample(
        "POST",
        "/track",
        b"verbose=1&data=" + quote(to_json([{**_MIXPANEL, "properties": {"n": 1}}])).encode(),
        (*_FORM, ("X-Api-Key", SECRET)),
    ),
    Sample("GET", "/track?data=" + quote(base64.b64encode(to_json(_MIXPANEL)).decode())),
    Sample("POST", "/import?strict=1", [_MIXPANEL, _MIXPANEL], _JSON),
    # With a key in JSON alone, for the same reason.
    Sample("POST", "/engage", [{"$token": SECRET, "$distinct_id": "u", "$set": {"a": 1}}], _JSON),
    Sample(
        "POST", "/engage", b"data=" + quote(to_json({"$distinct_id": "u", "$set": {"a": 1}})).encode(), _FORM
    ),
    Sample(
        "POST",
        f"/api/42/envelope/?sentry_key={SECRET}",
        b'{"event_id":"a"}\n{"type":"event","length":26}\n{"timestamp":1700000000.5}\n\n'
        b'{"type":"log"}\n{"items":[{"timestamp":1700000000,"body":"x","attributes":{"a":{"value":1}}}]}\n',
    ),
    Sample("POST", "/api/42/store/", {"event_id": "a", "timestamp": _TIME, "message": "x"}, _JSON),
    Sample("POST", "/batch/", {"api_key": SECRET, "batch": [_POSTHOG, _POSTHOG], "sent_at": _TIME}, _JSON),
    Sample("GET", "/e/?data=" + quote(base64.b64encode(to_json([_POSTHOG])).decode())),
    Sample(
        "GET",
        "/v1/pixel/track?data=" + quote(base64.b64encode(to_json({**_SEGMENT, "writeKey": SECRET})).decode()),
    ),
)


def changed(made: Inputs) -> tuple[str, str, bytes | None, dict[str, str]]:
    """Return a request of some client with something changed in it, as method, path, body, headers."""
    sample = made.random.choice(SAMPLES)
    path = sample.path
    if "?" in path and made.random.random() < 0.7:
        head, _, query = path.partition("?")
        path = f"{head}?{quote(made.broken(query.encode()), safe='%&=+')}"
    body = None if sample.body is None else _body(sample.body, made)
    headers = dict(sample.headers)
    if made.random.random() < 0.2:
        headers |= made.headers()
    return sample.method, path, body, headers


def _body(body: Any, made: Inputs) -> bytes:
    if isinstance(body, bytes):
        return made.broken(body)
    tree = copy.deepcopy(body)
    for _ in range(made.random.choice((0, 1, 1, 2))):
        put = made.random.choice(list(_places(tree)) or [lambda value: None])
        put(made.value(2))
    text = to_json(tree)
    return made.broken(text) if made.random.random() < 0.2 else text


def _places(tree: Any) -> list[Callable[[Any], None]]:
    """Return a setter for every place in a tree."""
    found: list[Callable[[Any], None]] = []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found.append(lambda new, key=key: tree.__setitem__(key, new))  # type: ignore[misc]
        found += _places(value)
    return found
