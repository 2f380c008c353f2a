"""What the encodings of OTLP have in common: groups of records, parted unread, and values within bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from collector.protocols.otlp.record import Attributes, InstrumentationScope, LogRecord
from collector.protocols.shared.dialect import Draft
from cube.errors import InvalidRequest
from cube.json_text import encode

MAX_DEPTH: Final = 60
"""Values nested deeper are refused unread: an event's data may have 50 levels."""

MAX_VALUES: Final = 1_000_000
"""Those of one request, empty ones included (of two bytes each): they take two seconds."""

MAX_RECORD_BYTES: Final = 2**20
"""One record, as it is encoded."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One of OTLP's kinds of telemetry: the names of its lists, of what was refused, and of one record."""

    path: str
    resources: str
    scopes: str
    records: str
    rejected: str
    noun: str


LOGS: Final = Signal(
    "/v1/logs", "resourceLogs", "scopeLogs", "logRecords", "rejectedLogRecords", "log records"
)
TRACES: Final = Signal("/v1/traces", "resourceSpans", "scopeSpans", "spans", "rejectedSpans", "spans")
METRICS: Final = Signal(
    "/v1/metrics", "resourceMetrics", "scopeMetrics", "metrics", "rejectedDataPoints", "metrics"
)
SIGNALS: Final = (LOGS, TRACES, METRICS)


@dataclass(frozen=True, slots=True)
class RecordGroup:
    """Encoded records of one scope of one resource, those two encoded as well.

    ``wrong``: why these are not records, and all of them are rejected.
    """

    resource: Any
    scope: Any
    records: Sequence[Any]
    wrong: str = ""


class Encoding(ABC):
    """One of the encodings of OTLP, for one request. What cannot be read raises `InvalidRequest`.

    What is encoded hangs on the encoding: bytes, or a value that is not looked at yet. The values of the
    request are bounded: how many there are, and how deep.
    """

    content_type: ClassVar[str]
    _resource_kind: ClassVar[Any]
    _scope_kind: ClassVar[Any]

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self._values_left = MAX_VALUES

    @abstractmethod
    def groups(self, body: bytes) -> Iterator[RecordGroup]:
        """Part a request into groups, without reading what is in them."""

    def resource(self, encoded: Any) -> Attributes:
        return self.pairs(self._read(self._resource_kind, encoded).attributes)

    def scope(self, encoded: Any) -> InstrumentationScope:
        scope = self._read(self._scope_kind, encoded)
        return InstrumentationScope(scope.name or "", scope.version or "", self.pairs(scope.attributes))

    @abstractmethod
    def record(self, encoded: Any) -> LogRecord:
        """Read a log record."""

    @abstractmethod
    def message(self, encoded: Any) -> Any:
        """Read a span or a metric: an object with the names of protobuf's fields.

        What its fields are is asked of the functions below, for their types are the encoding's.
        """

    @abstractmethod
    def id_of(self, given: Any, size: int) -> str:
        """Return an id of so many bytes in hex; "" where it is not valid, which counts as absent."""

    @abstractmethod
    def whole(self, given: Any) -> int:
        """Return an integer of a message, 0 where it is absent."""

    @abstractmethod
    def double(self, given: Any) -> float | str:
        """Return a double of a message; one that is not finite as text."""

    @abstractmethod
    def enum(self, given: Any, names: Mapping[str, int]) -> int:
        """Return the number of an enumeration's value; ``names``: by the names that JSON may have."""

    @abstractmethod
    def optional(self, message: Any, name: str) -> Any:
        """Return a field, as it is encoded, None where a message does not have it."""

    @abstractmethod
    def either(self, message: Any, names: Sequence[str]) -> str | None:
        """Return which one of some fields a message has."""

    def pairs(self, pairs: Sequence[Any] | None) -> dict[str, Any]:
        """Read attributes."""
        return self._pairs(pairs, 0)

    def counted(self, items: Sequence[Any] | None) -> Sequence[Any]:
        """Return the items of a list, once they are counted among the request's values."""
        self._take(len(items or ()), 1)
        return items or ()

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

    def check_size(self, encoded: Any) -> None:
        """Raise `InvalidRequest` for a record over `MAX_RECORD_BYTES`."""
        size = self.size(encoded)
        if size > MAX_RECORD_BYTES:
            raise InvalidRequest(f"Got a record of {size} bytes; accepted are {MAX_RECORD_BYTES}.")


class Drafter(ABC):
    """What the records of one group have in common; makes their drafts."""

    def parts(self, encoded: Any) -> Iterable[Any]:
        """Part a record into what becomes one event each: most are that as they are."""
        return (encoded,)

    @abstractmethod
    def draft(self, part: Any) -> Draft | None:
        """Make the draft of a part; None where it says nothing. Raises `InvalidRequest`."""


class Wrong(Drafter):
    """Tells of each record of a group why all of it is refused."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def draft(self, part: Any) -> Draft | None:
        raise InvalidRequest(self._reason)
