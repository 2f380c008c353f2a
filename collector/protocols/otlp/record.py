"""A log record as both encodings mean it, and the event that it becomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from cube.model import instant
from cube.model.event import ABSENT

Attributes: TypeAlias = "Mapping[str, Any]"

_UID = "log.record.uid"
_OLD_EVENT_NAME = "event.name"  # an attribute, before records had a field for it
_NS_PER_MS = 1_000_000
_SMALLEST_NS = 10**17


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record. Times are ns since 1970, 0 where not known; ids are hex, "" where there is none."""

    time: int = 0
    observed: int = 0
    severity_number: int = 0
    severity_text: str = ""
    body: Any = None
    attributes: dict[str, Any] = {}
    dropped: int = 0
    flags: int = 0
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""

    @property
    def name(self) -> str:
        """The event's name; "" for a log line, which has none."""
        old = self.attributes.get(_OLD_EVENT_NAME)
        return self.event_name or (old if isinstance(old, str) else "")

    @property
    def milliseconds(self) -> Any:
        """When it happened, else when it was seen; absent is the arrival."""
        return milliseconds(self.time or self.observed)


class InstrumentationScope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What wrote records: a library, by name and version."""

    name: str = ""
    version: str = ""
    attributes: dict[str, Any] = {}


def number(value: float) -> float | str:
    """Return a number as data may have it: one that is not finite as the text that JSON has for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def milliseconds(nanoseconds: int) -> Any:
    """Return a time of OTLP; absent where it is 0. What would be before March 1973 is in another unit."""
    if not nanoseconds:
        return ABSENT
    if nanoseconds >= _SMALLEST_NS:
        return nanoseconds // _NS_PER_MS
    return instant.parse_any_unit(nanoseconds)


def present(**items: Any) -> dict[str, Any]:
    """Leave out what is not there: as in protobuf, a default and an absence are one. A body of 0 stays."""
    return {name: item for name, item in items.items() if item or (name == "body" and item is not None)}
