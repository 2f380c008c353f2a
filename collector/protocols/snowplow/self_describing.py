"""Self-describing JSON: ``{schema, data}``, plain or in base64, alone or as an event's contexts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from collector.protocols.shared.naming import slug
from cube import json_text
from cube.errors import InvalidEvent, InvalidRequest, described
from cube.model.event import ABSENT

_IGLU = re.compile(r"iglu:[^/]+/(?P<name>[^/]+)/[^/]+/[^/]+")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


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
            name, data = _context(item)
            contexts.setdefault(name, []).append(data)
    return contexts


def name_of(schema: str) -> str:
    """Return the name in ``iglu:vendor/NAME/format/version``; anything else is a name as it stands."""
    found = _IGLU.fullmatch(schema)
    return found["name"] if found else schema


def _context(item: Any) -> tuple[str, Any]:
    if not isinstance(item, Mapping) or "data" not in item:
        raise InvalidEvent(f"Got the context {described(item)}; accepted is {{schema, data}}.", field="co")
    schema = item.get("schema")
    return slug(name_of(schema) if isinstance(schema, str) and schema else "context"), item["data"]


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
    """Decode base64, of either alphabet, padded or not: Python's trackers pad, JavaScript's do not."""
    packed = "".join(_text(value).split()).encode("ascii", "replace").translate(_TO_STANDARD).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None
