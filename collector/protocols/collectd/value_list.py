"""Value lists: what one read of a plugin gave, and what is stored of its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from collector.protocols.shared.dialect import DialectState
from collector.protocols.shared.values import doubled
from cube.errors import InvalidRequest, described
from cube.model import instant

COUNTED: Final = frozenset({"derive", "counter"})
"""The kinds whose values mean something only beside the reading before."""

_LARGEST = 2**64
_OLD_UNIT = 2**30  # collectd 5.0 sent times in units of 2^-30 s
_LEAST_OLD = 10**17  # as a number of those December 1972, and of microseconds the year 5138


@dataclass(frozen=True, slots=True)
class ValueList:
    """What one read of one plugin gave; ``time`` in milliseconds, ``path`` names its series."""

    time: int
    host: str
    plugin: str
    plugin_instance: str
    type: str
    type_instance: str
    values: tuple[float | None, ...]
    kinds: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> ValueList:
        """Read one item of a body. Raises `InvalidRequest`."""
        values, kinds, names = (_list(item, name) for name in ("values", "dstypes", "dsnames"))
        if not len(values) == len(kinds) == len(names) > 0:
            raise InvalidRequest(
                f"Got {len(values)} values, {len(kinds)} dstypes and {len(names)} dsnames; accepted is as"
                " many of each, at least one."
            )
        if not all(value is None or _is_number(value) for value in values):
            raise InvalidRequest(
                "Got a value that is not a number; accepted are numbers up to 2^64, and null."
            )
        return cls(
            _time(item.get("time")),
            _text(item, "host"),
            _text(item, "plugin"),
            _text(item, "plugin_instance", ""),
            _text(item, "type"),
            _text(item, "type_instance", ""),
            tuple(values),
            tuple(map(str, kinds)),
            tuple(map(str, names)),
        )

    @property
    def path(self) -> str:
        """The series, as collectd writes it: ``host/plugin-instance/type-instance``."""
        plugin = f"{self.plugin}-{self.plugin_instance}" if self.plugin_instance else self.plugin
        type = f"{self.type}-{self.type_instance}" if self.type_instance else self.type
        return f"{self.host}/{plugin}/{type}"


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The last values of a series, at a time in milliseconds, and what was stored of them."""

    time: int
    values: tuple[float | None, ...]
    stored: tuple[float | None, ...]


Count: TypeAlias = Callable[[str, float, float | None, int], float | None]
"""What is stored of a value: by its kind, the value before it (None: unknown) and the ms between the two."""


def stored_values(item: ValueList, state: DialectState, count: Count) -> dict[str, Any]:
    """Return what is stored of the values, by their names; the series moves on to this reading.

    One that was seen before gives the same again. One that is older than the last, or another of its
    time, gives gauges, but nothing where they stand beside counts: it may be stored already, with rates.
    """
    last: SeriesState | None = state.get("series", item.path)
    is_late = last is not None and item.time <= last.time
    if last is not None and last.time == item.time and last.values == item.values:
        stored = last.stored
    elif is_late and not COUNTED.isdisjoint(item.kinds):
        return {}
    else:
        before = () if last is None else last.values[: len(item.values)]
        before += (None,) * (len(item.values) - len(before))
        elapsed = 1 if last is None else item.time - last.time
        pairs = zip(item.kinds, item.values, before, strict=True)
        stored = tuple(
            None if value is None else doubled(count(kind, value, earlier, elapsed))
            for kind, value, earlier in pairs
        )
    if not is_late:
        state.put("series", item.path, SeriesState(item.time, item.values, stored))
    named = zip(item.names, stored, strict=True)
    return {name: value for name, value in named if value is not None}


def rate(kind: str, value: float, before: float | None, elapsed: int) -> float | None:
    """Return a derive's or counter's rate per second since the last reading; other kinds as they are.

    None: there is no rate, for it is the first reading, an older one, or the first after a reset.
    """
    if kind not in COUNTED:
        return value
    if before is None or elapsed <= 0:
        return None
    delta = _advance(before, value) if kind == "counter" else value - before
    return None if delta is None or delta < 0 else delta * 1000 / elapsed


def difference(kind: str, value: float, before: float | None, elapsed: int) -> float | None:
    """Return, as Square's Cube does, a derive's difference to the last reading, the first time 0."""
    if kind != "derive":
        return value
    if elapsed <= 0:
        return None
    return 0 if before is None else value - before


def _advance(before: float, value: float) -> float | None:
    """Return how far a counter went; one that went back has wrapped at 32 or 64 bits, or was reset.

    It counts as wrapped where that is the shorter way: under half of its range.
    """
    if value >= before:
        return value - before
    size = 2**32 if before < 2**32 else 2**64
    wrapped = size - before + value
    return wrapped if wrapped < size / 2 else None


def _time(value: Any) -> int:
    if _is_number(value):
        try:
            return instant.parse_any_unit(value / _OLD_UNIT if abs(value) >= _LEAST_OLD else value)
        except InvalidRequest:
            pass
    raise InvalidRequest(
        f"Got the time {described(value)}; accepted are seconds since 1970, in the years 1 to 9999."
    )


def _list(item: Mapping[str, Any], name: str) -> list[Any]:
    value = item.get(name)
    if not isinstance(value, list):
        raise InvalidRequest(f"Got no list of {name}; accepted are values, dstypes and dsnames.")
    return value


def _text(item: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = item.get(name, default)
    if not isinstance(value, str) or (not value and default is None):
        raise InvalidRequest(f"Got the {name} {described(value)}; accepted is text.")
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
