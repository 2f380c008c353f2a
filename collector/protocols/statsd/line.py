"""One line of StatsD: a metric's values, and what Datadog adds: fields, events ``_e{…}``, checks ``_sc``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from collector.protocols.shared.values import decimal
from cube.errors import InvalidRequest, shown
from cube.model import instant
from cube.model.event import ABSENT

KINDS: Final[Mapping[str, str]] = {
    "c": "counter",
    "ms": "timer",
    "g": "gauge",
    "s": "set",
    "h": "histogram",
    "d": "distribution",
}
"""The last two, and all fields but ``@``, are DogStatsD's."""

EVENT: Final = "statsd_event"
CHECK: Final = "statsd_check"

EVENT_PREFIX: Final = b"_e{"
CHECK_PREFIX: Final = b"_sc|"

_HEAD = re.compile(rb"_e\{([0-9]{1,6}),([0-9]{1,6})\}:", re.ASCII)
_STATUS = re.compile(r"[0-3]", re.ASCII)
_MESSAGE = "|m:"
_ORIGIN = ("c:", "e:", "card:")
_SEPARATORS = str.maketrans(",", ":")  # hot-shots writes an array of values as 1,2; Datadog packs them as 1:2


_FieldTable: TypeAlias = Mapping[str, tuple[str, Callable[[str], Any]]]
"""By their prefixes the names of fields, and what reads each."""


class MetricSample(NamedTuple):
    """What one event holds. ``time``: milliseconds since 1970, `ABSENT` where the line has none."""

    data: Mapping[str, Any]
    time: Any = ABSENT
    type: str = "statsd"


def parse(line: str, *, has_changes: bool = True) -> Sequence[MetricSample | InvalidRequest]:
    """Read a line: for each of its values, in order, the sample or what is wrong with it.

    Raises `InvalidRequest` where all of the line is wrong. ``has_changes``: whether a gauge with a sign is a
    change, and not a level.
    """
    name, colon, rest = line.partition(":")
    values, *parts = rest.split("|")
    kind = KINDS.get(parts[0]) if parts else None
    if not name or not colon or not values or kind is None:
        raise InvalidRequest(
            f"Got a line that is not one of StatsD's; accepted is name:value|kind, the kind one of"
            f" {', '.join(KINDS)}."
        )
    fields, time = read_fields(parts[1:], {"@": ("rate", _rate)})
    texts = [values] if kind == "set" else values.translate(_SEPARATORS).split(":")
    return [_sample(kind, text, has_changes, name, fields, time) for text in texts]


def read_fields(
    parts: Iterable[str], known: _FieldTable, time_prefix: str = "T"
) -> tuple[dict[str, Any], Any]:
    """Read the fields behind a value, in any order: as data, and the time. Raises `InvalidRequest`.

    ``known``: those beside what every line may have. What is not known stands as it came under ``extra``.
    """
    table = {**_FIELDS, **known}
    data: dict[str, Any] = {}
    time: Any = ABSENT
    for part in parts:
        if part.startswith(time_prefix):
            time = _time(part.removeprefix(time_prefix))
            continue
        prefix = next((prefix for prefix in table if part.startswith(prefix)), None)
        if prefix is None:
            data.setdefault("extra", []).append(part)
            continue
        name, read = table[prefix]
        data[name] = read(part.removeprefix(prefix))
    return data, time


def parse_event(line: bytes) -> MetricSample:
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
    fields, time = read_fields(rest.split("|")[1:], _EVENT_FIELDS, "d:")
    return MetricSample({"title": _unescaped(title), "text": _unescaped(text), **fields}, time, EVENT)


def parse_check(line: str) -> MetricSample:
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
    text = {"message": _unescaped(message).replace("m\\:", "m:")} if is_there else {}
    return MetricSample({"name": name, "status": int(status), **fields, **text}, time, CHECK)


def _sample(
    kind: str, text: str, has_changes: bool, name: str, fields: Mapping[str, Any], time: Any
) -> MetricSample | InvalidRequest:
    data: dict[str, Any] = {"name": name, "kind": kind, "value": text}
    if kind != "set":
        try:
            data["value"] = _number(text)
        except InvalidRequest as error:
            return error
    if kind == "gauge":
        data["delta"] = has_changes and text[0] in "+-"
    data |= fields
    if kind == "counter":
        data["count"] = data["value"] / data["rate"] if "rate" in data else data["value"]
    return MetricSample(data, time)


def _rate(text: str) -> float:
    rate = _number(text)
    if not 0 < rate <= 1:
        raise InvalidRequest(f"Got the rate {shown(text)}; accepted is a number over 0, up to 1.")
    return rate


def _tags(text: str) -> dict[str, Any]:
    """Read ``env:prod,fast`` as {env: "prod", fast: true}; the values of one that is repeated are a list."""
    found: dict[str, list[Any]] = {}
    for tag in text.split(","):
        name, colon, value = tag.partition(":")
        if name:
            found.setdefault(name, []).append(value if colon else True)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _time(text: str) -> int:
    try:
        return instant.parse_any_unit(decimal(text))
    except (ValueError, InvalidRequest):
        raise InvalidRequest(
            f"Got the time {shown(text)}; accepted are seconds since 1970, in the years 1 to 9999."
        ) from None


def _number(text: str) -> int | float:
    try:
        return decimal(text)
    except ValueError:
        raise InvalidRequest(f"Got the value {shown(text)}; accepted is a finite number.") from None


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


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n")


_FIELDS: Final[_FieldTable] = {
    "#": ("tags", _tags),
    "c:": ("container", str),
    "e:": ("external", str),
    "card:": ("cardinality", str),
}
_EVENT_FIELDS: _FieldTable = {
    "h:": ("hostname", str),
    "k:": ("aggregation_key", str),
    "p:": ("priority", str),
    "s:": ("source_type", str),
    "t:": ("alert_type", str),
}
_CHECK_FIELDS: _FieldTable = {"h:": ("hostname", str)}
