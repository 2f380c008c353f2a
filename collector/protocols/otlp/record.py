"""A log record as both encodings mean it, and the event that it becomes."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from collector.protocols.shared.dialect import Draft
from collector.protocols.shared.values import Occurrences
from cube.errors import InvalidRequest
from cube.json_text import encode
from cube.model import instant
from cube.model.event import ABSENT

MAX_DEPTH: Final = 60
"""ValueCounter nested deeper are refused unread: an event's data may have 50 levels."""

MAX_VALUES: Final = 1_000_000
"""Those of one request, empty ones included (of two bytes each): they take two seconds."""

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
        """When it happened, else when it was seen; absent is the arrival.

        It should be nanoseconds; what would be before March 1973 then is taken in its likely unit.
        """
        time = self.time or self.observed
        if not time:
            return ABSENT
        return time // _NS_PER_MS if time >= _SMALLEST_NS else instant.parse_any_unit(time)


class InstrumentationScope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What wrote records: a library, by name and version."""

    name: str = ""
    version: str = ""
    attributes: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class RecordGroup:
    """Encoded records of one scope of one resource, those two encoded as well.

    ``wrong``: why these are not records, and all of them are rejected.
    """

    resource: Any
    scope: Any
    records: Sequence[Any]
    wrong: str = ""


class LogEncoding(ABC):
    """One of the encodings of OTLP, for one request. What cannot be read raises `InvalidRequest`.

    What is encoded hangs on the encoding: bytes, or a value that is not looked at yet. The values of the
    request are bounded: how many there are, and how deep.
    """

    content_type: ClassVar[str]
    _resource_kind: ClassVar[Any]
    _scope_kind: ClassVar[Any]

    def __init__(self) -> None:
        self._values_left = MAX_VALUES

    @abstractmethod
    def groups(self, body: bytes) -> Iterator[RecordGroup]:
        """Part a request into groups, without reading what is in them."""

    def resource(self, encoded: Any) -> Attributes:
        return self._pairs(self._read(self._resource_kind, encoded).attributes, 0)

    def scope(self, encoded: Any) -> InstrumentationScope:
        scope = self._read(self._scope_kind, encoded)
        return InstrumentationScope(scope.name or "", scope.version or "", self._pairs(scope.attributes, 0))

    @abstractmethod
    def record(self, encoded: Any) -> LogRecord:
        """Read a record."""

    def size(self, encoded: Any) -> int:
        """Return how many bytes a record takes."""
        return len(encoded) if isinstance(encoded, bytes) else len(encode(encoded))

    @abstractmethod
    def shown(self, encoded: Any) -> Any:
        """Return a record that cannot be read, as JSON, for its rejection."""

    @abstractmethod
    def response(self, rejected: int, message: str) -> bytes:
        """Make the reply to what was taken, but for so many records."""

    @abstractmethod
    def status(self, message: str) -> bytes:
        """Make a ``google.rpc.Status``."""

    @abstractmethod
    def _read(self, kind: Any, encoded: Any) -> Any:
        """Read a message of some kind; None in JSON is an empty one."""

    @abstractmethod
    def _value(self, given: Any, depth: int) -> Any:
        """Read an ``AnyValue``, as JSON."""

    def _pairs(self, pairs: Sequence[Any] | None, depth: int) -> dict[str, Any]:
        self._take(len(pairs or ()), depth)
        read: dict[str, Any] = {}
        for pair in pairs or ():
            read.setdefault(pair.key, self._value(pair.value, depth))
        return read

    def _items(self, items: Sequence[Any], depth: int) -> list[Any]:
        self._take(len(items), depth)
        return [self._value(item, depth) for item in items]

    def _take(self, count: int, depth: int) -> None:
        """Count values of a level before they are read."""
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"Got values nested more than {MAX_DEPTH} levels deep.")
        self._values_left -= count
        if self._values_left < 0:
            raise InvalidRequest(f"Got more than {MAX_VALUES} values in one request.")


class EventEmitter:
    """What the records of one group have in common; makes their drafts.

    ``occurrences``: of the request's records; None where ids are not made of content.
    """

    def __init__(
        self, resource: Attributes, scope: InstrumentationScope, occurrences: Occurrences | None
    ) -> None:
        self._shared = _present(resource=resource, scope=msgspec.to_builtins(scope))
        self._occurrences = occurrences
        self._digest = hashlib.sha256(encode([resource, scope]))

    def draft(self, record: LogRecord) -> Draft:
        data = _present(
            event_name=record.name,
            body=record.body,
            attributes=record.attributes,
            severity=_present(number=record.severity_number, text=record.severity_text),
            trace_id=record.trace_id,
            span_id=record.span_id,
            flags=record.flags,
            dropped_attributes_count=record.dropped,
            time_unix_nano=str(record.time or ""),
            observed_time_unix_nano=str(record.observed or ""),
        )
        data |= self._shared
        name = record.name
        return Draft(name or "log", record.milliseconds, self._id(record), data, data, fixed=not name)

    def _id(self, record: LogRecord) -> Any:
        uid = record.attributes.get(_UID)
        if isinstance(uid, str) and uid:
            return uid
        if self._occurrences is None or record.milliseconds is ABSENT:
            return ABSENT  # without a time nothing tells a record that is sent again from one that is equal
        digest = self._digest.copy()
        digest.update(encode(record))
        return self._occurrences.own(digest.hexdigest())


def number(value: float) -> float | str:
    """Return a number as data may have it: one that is not finite as the text that JSON has for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _present(**items: Any) -> dict[str, Any]:
    """Leave out what is not there: as in protobuf, a default and an absence are one. A body of 0 stays."""
    return {name: item for name, item in items.items() if item or (name == "body" and item is not None)}
