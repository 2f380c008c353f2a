"""What a request carries: who sends it, the parameters of its events, and the JSON in these.

Self-describing JSON is ``{schema, data}``, plain or in base64, alone or as an event's contexts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from collector.protocols.shared.dialect import Rejection
from collector.protocols.shared.naming import slug
from collector.protocols.shared.values import unpacked
from cube import json_text
from cube.errors import InvalidEvent, InvalidRequest, described
from cube.model.event import ABSENT
from cube.model.property import is_unicode
from cube.web import Request

MAX_PARAMETERS: Final = 1000
ANONYMOUS: Final = "00000000-0000-0000-0000-000000000000"

_COOKIE = "sp"
_SECONDS = 365 * 86_400
_IN_COOKIES = re.compile(rf"(?:^|[;,])\s*{_COOKIE}=([^;,]*)")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_ATTRIBUTES = "Path=/; HttpOnly; Secure; SameSite=None"
_IGLU = re.compile(r"iglu:[^/]+/(?P<name>[^/]+)/[^/]+/[^/]+")
_SCHEMA = re.compile(r"iglu:com\.snowplowanalytics\.snowplow/payload_data/jsonschema/1-\d+-\d+", re.ASCII)
_SHOWN_BYTES = 64 * 1024
_ACCEPTED = "accepted is {schema, data: [event, …]}, where schema is Snowplow's payload_data/jsonschema/1-0-*"


class TrackerEvents(NamedTuple):
    """The events of a request, and what of it is not one."""

    events: Sequence[Mapping[str, Any]] = ()
    rejections: Sequence[Rejection] = ()


def of_query(request: Request) -> TrackerEvents:
    """Return the one event that a query is; a refusal where it cannot be read."""
    try:
        return TrackerEvents((query_of(request),))
    except InvalidRequest as error:
        return TrackerEvents(rejections=(Rejection(error.message, request.query[:_SHOWN_BYTES]),))


def of_body(request: Request) -> TrackerEvents:
    """Return the events of a body. The query is a part of each of them, and goes before the body.

    What in the query is not UTF-8 is left out, and refused alone: it costs no event.
    """
    try:
        query = query_of(request)
        body = json_text.decode_leniently(request.body)
    except InvalidRequest as error:
        text = request.body[:_SHOWN_BYTES].decode(errors="replace")
        return TrackerEvents(rejections=(Rejection(error.message, text),))
    reason = _wrong_envelope(body)
    if reason is not None:
        return TrackerEvents(rejections=(Rejection(f"{reason}; {_ACCEPTED}.", body),))
    common = {name: value for name, value in query.items() if is_unicode(name + value)}
    events: list[Mapping[str, Any]] = []
    rejections: list[Rejection] = []
    if common != query:
        rejections.append(Rejection("Got a query that is not UTF-8; accepted is UTF-8.", query))
    for item in body["data"]:
        if isinstance(item, Mapping):
            events.append({**item, **common})
        else:
            rejections.append(Rejection(f"Got {described(item)} as an event; accepted is an object.", item))
    return TrackerEvents(events, rejections)


def query_of(request: Request) -> dict[str, str]:
    """Return the parameters of a query; of a repeated one the last counts. Raises `InvalidRequest`.

    What is not UTF-8 comes out as lone surrogates, for which an event is refused.
    """
    return dict(request.pairs(most=MAX_PARAMETERS))


def _wrong_envelope(body: Any) -> str | None:
    if not isinstance(body, Mapping):
        return f"Got {described(body)} as a payload"
    schema = body.get("schema")
    if schema is not None and not (isinstance(schema, str) and _SCHEMA.fullmatch(schema)):
        return f"Got a payload of the schema {described(schema)}"
    if not isinstance(body.get("data"), list) or not body["data"]:
        return "Got a payload without events"
    return None


def is_anonymous(request: Request) -> bool:
    """Tell whether a request asks that its sender's cookies and address be neither used nor kept."""
    return request.headers.get("SP-Anonymous", "").strip() == "*"


def network_user(request: Request, given: str | None, make_id: Callable[[], str]) -> str:
    """Return who sends a request: as the query says (``given``), or the cookie, or somebody new."""
    if is_anonymous(request):
        return ANONYMOUS
    if given is not None and _ID.fullmatch(given):
        return given
    return _from_cookie(request) or make_id()


def cookie_headers(request: Request, user: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that have a browser keep an id for a year, or drop the one that it has."""
    if not is_anonymous(request):
        return (("Set-Cookie", f"{_COOKIE}={user}; Max-Age={_SECONDS}; {_ATTRIBUTES}"),)
    if _from_cookie(request) is not None:
        return (("Set-Cookie", f"{_COOKIE}=; Max-Age=0; {_ATTRIBUTES}"),)
    return ()


def _from_cookie(request: Request) -> str | None:
    found = _IN_COOKIES.search(request.headers.get("Cookie", ""))
    return found[1] if found and _ID.fullmatch(found[1]) else None


class SelfDescribing(NamedTuple):
    """What an event of the kind ``ue`` holds. ``name``: what it happened to be."""

    name: str
    schema: str | None
    data: Any


def read_event(sent: Mapping[str, Any]) -> SelfDescribing:
    """Read ``ue_pr`` or ``ue_px``. Raises `InvalidEvent`.

    The inner schema need not be an Iglu URI; where there is none the event is named by its ``name``,
    as Datacoral's pixel does it.
    """
    outer = _read(sent, "ue_pr", "ue_px")
    inner = outer.get("data") if isinstance(outer, Mapping) else None
    if not isinstance(inner, Mapping):
        raise InvalidEvent(
            "Got a self-describing event without data.data; accepted is {schema, data: {schema, data}}.",
            field="ue_pr",
        )
    schema = inner.get("schema")
    if isinstance(schema, str) and schema:
        return SelfDescribing(name_of(schema), schema, inner.get("data", ABSENT))
    name = inner.get("name")
    name = name if isinstance(name, str) and name else "unstruct"
    return SelfDescribing(name, None, inner.get("data", ABSENT))


def read_contexts(sent: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Read ``co`` and ``cx``: the contexts' data by name, in order. Raises `InvalidEvent`."""
    contexts: dict[str, list[Any]] = {}
    for pair in (("co", ""), ("", "cx")):
        outer = _read(sent, *pair)
        if outer is ABSENT:
            continue
        items = outer.get("data") if isinstance(outer, Mapping) else None
        if not isinstance(items, list):
            raise InvalidEvent(
                "Got contexts without a list of data; accepted is {schema, data: [{schema, data}, …]}.",
                field="co",
            )
        for item in items:
            if not isinstance(item, Mapping) or "data" not in item:
                message = f"Got the context {described(item)}; accepted is {{schema, data}}."
                raise InvalidEvent(message, field="co")
            schema = item.get("schema")
            name = slug(name_of(schema) if isinstance(schema, str) and schema else "context")
            contexts.setdefault(name, []).append(item["data"])
    return contexts


def name_of(schema: str) -> str:
    """Return the name in ``iglu:vendor/NAME/format/version``; anything else is a name as it stands."""
    found = _IGLU.fullmatch(schema)
    return found["name"] if found else schema


def _read(sent: Mapping[str, Any], plain: str, encoded: str) -> Any:
    """Return a parameter's JSON; `ABSENT` where the event has it neither plain nor encoded."""
    for name, unpack in ((plain, _text), (encoded, _decode)):
        value = sent.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, Mapping):  # a tracker that forgot to make text of it
            return value
        try:
            return json_text.decode_leniently(unpack(value))
        except (InvalidRequest, ValueError) as error:
            reason = error.message if isinstance(error, InvalidRequest) else f"{error}."
            raise InvalidEvent(f"The parameter {name} cannot be read: {reason}", field=name) from None
    return ABSENT


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it is not text")
    return value


def _decode(value: Any) -> bytes:
    """Decode base64: Python's trackers pad it, JavaScript's do not."""
    text = "".join(_text(value).split())
    try:
        return unpacked(text)
    except ValueError:
        raise ValueError("it is not base64") from None
