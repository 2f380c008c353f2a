"""One line of StatsD: a metric's values, and the fields that Datadog puts behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

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

_SEPARATORS = str.maketrans(",", ":")  # hot-shots writes an array of values as 1,2; Datadog packs them as 1:2


class Reading(NamedTuple):
    """What one event holds. ``time``: milliseconds since 1970, `ABSENT` where the line has none."""

    data: Mapping[str, Any]
    time: Any = ABSENT
    type: str = "statsd"


def parse(line: str, *, has_changes: bool = True) -> Sequence[Reading | InvalidRequest]:
    """Read a line: for each of its values, in order, the reading or what is wrong with it.

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
    head = {"name": name, "kind": kind}
    return [
        value if isinstance(value, InvalidRequest) else Reading(_counted({**head, **value, **fields}), time)
        for value in _values(kind, values, has_changes)
    ]


def read_fields(
    parts: Iterable[str], known: Mapping[str, tuple[str, Callable[[str], Any]]], time_prefix: str = "T"
) -> tuple[dict[str, Any], Any]:
    """Read the fields behind a value, in any order: as data, and the time. Raises `InvalidRequest`.

    ``known``: by their prefixes the names of fields, and what reads them, beside those that every line
    may have. What is not known stands as it came under ``extra``.
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


def _values(kind: str, text: str, has_changes: bool) -> Iterable[dict[str, Any] | InvalidRequest]:
    if kind == "set":
        return ({"value": text},)
    return [_value(kind, one, has_changes) for one in text.translate(_SEPARATORS).split(":")]


def _value(kind: str, text: str, has_changes: bool) -> dict[str, Any] | InvalidRequest:
    try:
        value = _number(text)
    except InvalidRequest as error:
        return error
    return {"value": value, "delta": has_changes and text[0] in "+-"} if kind == "gauge" else {"value": value}


def _counted(data: dict[str, Any]) -> dict[str, Any]:
    if data["kind"] == "counter":
        data["count"] = data["value"] / data["rate"] if "rate" in data else data["value"]
    return data


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


_FIELDS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "#": ("tags", _tags),
    "c:": ("container", str),
    "e:": ("external", str),
    "card:": ("cardinality", str),
}
