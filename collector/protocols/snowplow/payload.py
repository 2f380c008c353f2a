"""What a request carries: the parameters of its events, before any of them is understood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from collector.protocols.shared.dialect import Rejection
from cube import json_text
from cube.errors import InvalidRequest, described
from cube.model.property import is_unicode
from cube.web import Request

MAX_PARAMETERS: Final = 1000

_SCHEMA = re.compile(r"iglu:com\.snowplowanalytics\.snowplow/payload_data/jsonschema/1-\d+-\d+", re.ASCII)
_SHOWN_BYTES = 64 * 1024
_ACCEPTED = "accepted is {schema, data: [event, …]}, where schema is Snowplow's payload_data/jsonschema/1-0-*"


class Payload(NamedTuple):
    """The events of a request, and what of it is not one."""

    events: Sequence[Mapping[str, Any]] = ()
    rejections: Sequence[Rejection] = ()


def of_query(request: Request) -> Payload:
    """Return the one event that a query is; a refusal where it cannot be read."""
    try:
        return Payload((query_of(request),))
    except InvalidRequest as error:
        return Payload(rejections=(Rejection(error.message, request.query[:_SHOWN_BYTES]),))


def of_body(request: Request) -> Payload:
    """Return the events of a body. The query is a part of each of them, and goes before the body.

    What in the query is not UTF-8 is left out, and refused alone: it costs no event.
    """
    try:
        query = query_of(request)
        body = json_text.decode_leniently(request.body)
    except InvalidRequest as error:
        return Payload(rejections=(Rejection(error.message, _text(request)),))
    reason = _wrong_envelope(body)
    if reason is not None:
        return Payload(rejections=(Rejection(f"{reason}; {_ACCEPTED}.", body),))
    items: Sequence[Any] = body["data"]
    common = {name: value for name, value in query.items() if is_unicode(name + value)}
    return Payload(
        [{**item, **common} for item in items if isinstance(item, Mapping)],
        [Rejection("Got a query that is not UTF-8; accepted is UTF-8.", query)] * (common != query)
        + [
            Rejection(f"Got {described(item)} as an event; accepted is an object.", item)
            for item in items
            if not isinstance(item, Mapping)
        ],
    )


def query_of(request: Request) -> dict[str, str]:
    """Return the parameters of a query; of a repeated one the last counts. Raises `InvalidRequest`.

    What is not UTF-8 comes out as lone surrogates, for which an event is refused.
    """
    try:
        pairs = parse_qsl(
            request.query, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise InvalidRequest(f"Got more than {MAX_PARAMETERS} parameters in a query.") from None
    return dict(pairs)


def _wrong_envelope(body: Any) -> str | None:
    if not isinstance(body, Mapping):
        return f"Got {described(body)} as a payload"
    schema = body.get("schema")
    if schema is not None and not (isinstance(schema, str) and _SCHEMA.fullmatch(schema)):
        return f"Got a payload of the schema {described(schema)}"
    if not isinstance(body.get("data"), list) or not body["data"]:
        return "Got a payload without events"
    return None


def _text(request: Request) -> str:
    return request.body[:_SHOWN_BYTES].decode(errors="replace")
