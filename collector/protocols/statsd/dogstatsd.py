"""What DogStatsD has beside metrics: events ``_e{…}`` and service checks ``_sc``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from collector.protocols.statsd.line import Reading, read_fields
from cube.errors import InvalidRequest

EVENT: Final = "statsd_event"
CHECK: Final = "statsd_check"

EVENT_PREFIX: Final = b"_e{"
CHECK_PREFIX: Final = b"_sc|"

_HEAD = re.compile(rb"_e\{([0-9]{1,6}),([0-9]{1,6})\}:", re.ASCII)
_STATUS = re.compile(r"[0-3]", re.ASCII)
_MESSAGE = "|m:"
_ORIGIN = ("c:", "e:", "card:")
_Fields = Mapping[str, tuple[str, Callable[[str], Any]]]
_EVENT_FIELDS: _Fields = {
    "h:": ("hostname", str),
    "k:": ("aggregation_key", str),
    "p:": ("priority", str),
    "s:": ("source_type", str),
    "t:": ("alert_type", str),
}
_CHECK_FIELDS: _Fields = {"h:": ("hostname", str)}


def parse_event(line: bytes) -> Reading:
    """Read ``_e{5,4}:title|text|d:TIME|…``; the numbers are the lengths of title and text.

    Raises `InvalidRequest`.
    """
    head = _HEAD.match(line)
    texts = None if head is None else _cut(line[head.end() :], int(head[1]), int(head[2]))
    if texts is None:
        raise InvalidRequest(
            "Got an event that is not one of DogStatsD's; accepted is _e{N,M}:title|text, N and M"
            " their lengths."
        )
    title, text, rest = texts
    fields, time = read_fields(_parts(rest), _EVENT_FIELDS, "d:")
    return Reading({"title": _unescaped(title), "text": _unescaped(text), **fields}, time, EVENT)


def parse_check(line: str) -> Reading:
    """Read ``_sc|name|status|d:TIME|…|m:message``. Raises `InvalidRequest`."""
    head, is_there, rest = line.partition(_MESSAGE)
    message, origin = _origin(rest)
    _, name, status, *parts = head.split("|") if head.count("|") > 1 else ("", "", "")
    if not name or not _STATUS.fullmatch(status):
        raise InvalidRequest(
            "Got a service check that is not one of DogStatsD's; accepted is _sc|name|status, the"
            " status 0 to 3."
        )
    fields, time = read_fields([*parts, *origin], _CHECK_FIELDS, "d:")
    told = {"message": _unescaped(message).replace("m\\:", "m:")} if is_there else {}
    return Reading({"name": name, "status": int(status), **fields, **told}, time, CHECK)


def _origin(message: str) -> tuple[str, list[str]]:
    """Part a message from the fields that Datadog's client (0.56.0) puts behind it.

    It leaves bars in a message as they are.
    """
    parts = message.split("|")
    last = len(parts)
    while last > 1 and parts[last - 1].startswith(_ORIGIN):
        last -= 1
    return "|".join(parts[:last]), parts[last:]


def _cut(text: bytes, title: int, body: int) -> tuple[str, str, str] | None:
    """Cut a title, a text and the rest.

    Lengths are bytes of UTF-8; of hot-shots (17.1.1) they are what JavaScript counts, units of UTF-16.
    """
    for encoding, unit in (("utf-8", 1), ("utf-16-le", 2)):
        encoded = text.decode().encode(encoding)
        bar, end = "|".encode(encoding), title * unit + unit + body * unit
        between = encoded[title * unit :][:unit]
        after = encoded[end:][:unit]
        if len(encoded) >= end and between == bar and after in (bar, b""):
            parts = encoded[: title * unit], encoded[title * unit + unit : end], encoded[end:]
            try:
                first, second, rest = (part.decode(encoding) for part in parts)
            except UnicodeDecodeError:  # cut through a character: these are not the units
                continue
            return first, second, rest
    return None


def _parts(rest: str) -> list[str]:
    return rest.split("|")[1:]


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n")
