"""Sentry's ingestion: ``/api/{project}/envelope``, and ``/store`` of older SDKs.

Source: Sentry's developer documentation of envelopes, events, spans, logs and check-ins, and what the SDKs
that are named in ``docs/dialects/sentry.md`` put on the wire. They never send anything again, whatever the
answer.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from collector.protocols.sentry.envelope import EnvelopeItem, SentryEnvelope
from collector.protocols.shared.dialect import (
    MAX_ITEMS,
    Dialect,
    Draft,
    Endpoint,
    RequestContext,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import Occurrences, hashed
from cube.errors import AccessDenied, CubeError, InvalidRequest, described
from cube.json_text import decode_leniently
from cube.model import instant
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.web import Reply, Request, error_reply

_PACKED: Final = (b"eA", b"eF", b"eJ", b"eN")
"""How base64 of the zlib format begins, by level of compression, with its usual window; JSON does not."""
_MAX_INFLATED: Final = 1 << 20
_KEY = re.compile(r"(?:^|[\s,])sentry_key=([^,\s]+)")


@dataclass(frozen=True, slots=True)
class SentryRecord:
    """What becomes one event: an item, or one of those that an item of many holds."""

    type: str
    value: Any
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class RecordKind:
    """How records become events. ``time``: names of the time, of which the first that is there counts.

    ``id``: names whose values make the id together; none: a hash of all does. ``many``: an item holds some.
    """

    type: str
    time: tuple[str, ...] = ("timestamp",)
    id: tuple[str, ...] = ()
    many: bool = False


KINDS: Final[Mapping[str, RecordKind]] = {
    "event": RecordKind("sentry_error", id=("event_id",)),
    "transaction": RecordKind("sentry_transaction", ("start_timestamp", "timestamp"), ("event_id",)),
    "feedback": RecordKind("sentry_feedback", id=("event_id",)),
    "check_in": RecordKind("sentry_check_in", id=("check_in_id",)),
    "span": RecordKind("sentry_span", ("start_timestamp",), ("trace_id", "span_id"), many=True),
    "log": RecordKind("sentry_log", many=True),
    "trace_metric": RecordKind("sentry_metric", many=True),
}
"""By the type of an item; all others (sessions, attachments, profiles, reports …) are not stored."""


def envelope(request: Request, _: RequestContext) -> Translation:
    """Read an envelope; an item that is wrong costs no other."""
    found = SentryEnvelope.parse(request.body)
    records = list(islice(_records(found), MAX_ITEMS + 1))
    return _translation(records, request, found.headers.get("event_id"))


def store(request: Request, _: RequestContext) -> Translation:
    """Read the one event of an SDK from before envelopes: JSON, or base64 of JSON in the zlib format."""
    value = decode_leniently(_inflated(request))
    if not isinstance(value, dict):
        raise InvalidRequest(f"Got {described(value)}; accepted is an object.")
    return _translation([SentryRecord("event", value)], request, value.get("event_id"))


def _inflated(request: Request) -> bytes:
    body = request.body.strip()
    if not body.startswith(_PACKED):
        return body
    request.hold(_MAX_INFLATED)
    decoder = zlib.decompressobj()
    try:
        inflated = decoder.decompress(base64.b64decode(body, validate=True), _MAX_INFLATED)
    except (ValueError, zlib.error):
        raise InvalidRequest(
            "Got base64 that is no JSON in the zlib format; accepted is that, or JSON."
        ) from None
    if not decoder.eof:
        raise InvalidRequest(f"Got base64 that is cut, or over {_MAX_INFLATED} bytes once inflated.")
    return inflated


def draft(record: SentryRecord, project: str, seen: Occurrences) -> Draft:
    """Make the event of a record. Raises `InvalidRequest`."""
    if record.wrong:
        raise InvalidRequest(record.wrong)
    value, kind = record.value, KINDS[record.type]
    if not isinstance(value, dict):
        raise InvalidRequest(f"Got {described(value)}; accepted is an object.")
    given = next((value[name] for name in kind.time if value.get(name) is not None), None)
    left_out = {*kind.time, *(kind.id if len(kind.id) == 1 else ())}
    data = {name: part for name, part in value.items() if name not in left_out}
    if isinstance(data.get("attributes"), dict):
        data["attributes"] = {name: _plain(part) for name, part in data["attributes"].items()}
    return Draft(
        kind.type,
        time=ABSENT if given is None else instant.parse_any_unit(given),
        id=_id(value, kind, project, seen),
        data={**data, **_duration(value), "project": project},
        source={"type": record.type, "item": value},
        fixed=True,
    )


def credentials(request: Request) -> Credentials:
    """Find the DSN's public key: in a header, in the query, or in the envelope's own headers."""
    given = request.headers.get("X-Sentry-Auth", request.headers.get("Authorization", ""))
    keys = set(_KEY.findall(given))
    with suppress(InvalidRequest):  # the translation tells what is wrong
        keys |= {request.parameters().get("sentry_key", "")} - {""}
        if not keys and request.body:
            dsn = SentryEnvelope.parse(request.body).headers.get("dsn")
            keys |= {_user(dsn)} - {""}
    return Credentials(keys=frozenset(keys))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in Sentry's form, in the header that SDKs show as well."""
    status = error_reply(error, request.id).status
    made = Reply.json({"detail": error.message}, 401 if isinstance(error, AccessDenied) else status)
    told = error.message.encode("ascii", "replace").decode()
    return Reply(made.body, made.status, made.content_type, (("X-Sentry-Error", " ".join(told.split())),))


def dialect() -> Dialect:
    """Return the dialect."""
    endpoints = (
        Endpoint(
            ("/api/{project}/envelope",),
            {"POST": envelope},
            "Store what an envelope holds.",
            content_type="application/x-sentry-envelope",
        ),
        Endpoint(("/api/{project}/store",), {"POST": store}, "Store one event of Sentry's."),
    )
    secrets = frozenset(("dsn", "sentry_key"))
    return Dialect("sentry", endpoints, credentials, refuse, secrets, keys_in_body=True)


def _translation(records: Sequence[SentryRecord], request: Request, id: Any) -> Translation:
    check_count(len(records))
    make = partial(draft, project=request.captures["project"], seen=Occurrences())
    told = {"id": id} if isinstance(id, str) else {}
    return translate_each(records, make, lambda _: Reply.json(told), payload=_payload)


def _records(found: SentryEnvelope) -> Iterator[SentryRecord]:
    for item in found.items():
        kind = KINDS.get(item.type)
        if kind is None and not item.wrong:
            continue
        try:
            value = item.value()
        except InvalidRequest as error:
            yield SentryRecord(item.type, item.shown(), error.message)
            continue
        if kind is None or not kind.many:
            yield SentryRecord(item.type, value)
        else:
            yield from _each(item, value)


def _each(item: EnvelopeItem, value: Mapping[str, Any]) -> Iterator[SentryRecord]:
    """Yield the records that an item of many holds; a span of before version 2 is one by itself."""
    inside = value.get("items")
    if isinstance(inside, list):
        yield from (SentryRecord(item.type, each) for each in inside)
    elif "span_id" in value:
        yield SentryRecord(item.type, value)
    else:
        reason = f"Got {described(inside)} as the items of a {item.type}; accepted is an array."
        yield SentryRecord(item.type, item.shown(), reason)


def _payload(record: SentryRecord) -> Any:
    return record.value if record.wrong else {"type": record.type, "item": record.value}


def _id(value: Mapping[str, Any], kind: RecordKind, project: str, seen: Occurrences) -> Any:
    parts = [value.get(name) for name in kind.id]
    if parts and all(isinstance(part, str) and part for part in parts):
        return "".join(map(str, parts))
    return ABSENT if parts else seen.own(hashed([project, kind.type, value]))


def _duration(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the milliseconds between a start and an end, as numbers or in ISO 8601; nothing without."""
    start, end = value.get("start_timestamp"), value.get("end_timestamp", value.get("timestamp"))
    if start is None or end is None:
        return {}
    with suppress(InvalidRequest):
        return {"duration_ms": round(_milliseconds(end) - _milliseconds(start), 3)}
    return {}


def _milliseconds(given: Any) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        instant.parse_any_unit(given)  # raises for what is none
        return float(given) * 1000
    found = instant.parse_exact(given) if isinstance(given, str) else float("nan")
    if found != found:
        raise InvalidRequest(f"Got {described(given)}; accepted is a time.")
    return found


def _plain(attribute: Any) -> Any:
    """Return the value of an attribute, which comes with its type."""
    return attribute["value"] if isinstance(attribute, dict) and "value" in attribute else attribute


def _user(dsn: Any) -> str:
    if not isinstance(dsn, str):
        return ""
    try:
        return urlsplit(dsn).username or ""
    except ValueError:
        return ""
