"""OTLP's JSON: requests are parted first, and each resource, scope and record read on its own.

Source: the OTLP specification, "JSON Protobuf Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from collector.protocols.otlp.encoding import METRICS, SIGNALS, Encoding, RecordGroup, Signal
from collector.protocols.otlp.json_messages import (
    JsonAnyValue,
    JsonMetric,
    JsonRecord,
    JsonResource,
    JsonScope,
    JsonSpan,
)
from collector.protocols.otlp.json_numbers import double, enum, hexadecimal, integer, wide_integer
from collector.protocols.otlp.record import LogRecord
from cube.errors import InvalidRequest, described
from cube.json_text import convert, convert_leniently, decode_leniently, encode

_M = TypeVar("_M", bound=msgspec.Struct)

_SEVERITIES: Final = {
    f"SEVERITY_NUMBER_{name}{step or ''}": 4 * place + max(step, 1)
    for place, name in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    for step in (0, 2, 3, 4)
} | {"SEVERITY_NUMBER_UNSPECIFIED": 0}
_NOTHING: Final = msgspec.Raw(b"{}")
_MAX_TIME: Final = 2**64 - 1
_MAX_COUNT: Final = 2**32 - 1
_BESIDE_SCOPES: Final = frozenset(("resource", "schemaUrl"))
_BESIDE_RECORDS: Final = frozenset(("scope", "schemaUrl"))


class JsonForm(Encoding):
    """The encoding ``application/json``. What is encoded is JSON text, or a value of one read leniently."""

    content_type = "application/json"
    _resource_kind = JsonResource
    _scope_kind = JsonScope

    def groups(self, body: bytes) -> Iterator[RecordGroup]:
        try:
            request = msgspec.json.decode(body, type=_PARTS[self.signal])
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            yield from _parted(decode_leniently(body), self.signal)
            return
        for resourced in request.resources or ():
            resource = bytes(resourced.resource)
            for scoped in resourced.scopes or ():
                records = [bytes(record) for record in scoped.records or ()]
                yield RecordGroup(resource, bytes(scoped.scope), records)

    def record(self, encoded: Any) -> LogRecord:
        record = self._read(JsonRecord, encoded)
        if record == _EMPTY and (given := self.shown(encoded)) and _FIELDS.isdisjoint(given):
            raise InvalidRequest("Got an object without any field of a log record; accepted are log records.")
        return LogRecord(
            time=integer(record.time_unix_nano or 0, 0, _MAX_TIME),
            observed=integer(record.observed_time_unix_nano or 0, 0, _MAX_TIME),
            severity_number=enum(record.severity_number or 0, _SEVERITIES),
            severity_text=record.severity_text or "",
            body=self._value(record.body, 0),
            attributes=self._pairs(record.attributes, 0),
            dropped=integer(record.dropped_attributes_count or 0, 0, _MAX_COUNT),
            flags=integer(record.flags or 0, 0, _MAX_COUNT),
            trace_id=hexadecimal(record.trace_id, 32),
            span_id=hexadecimal(record.span_id, 16),
            event_name=record.event_name or "",
        )

    def message(self, encoded: Any) -> Any:
        message = self._read(JsonMetric if self.signal is METRICS else JsonSpan, encoded)
        if message == type(message)() and self.shown(encoded):
            raise InvalidRequest(f"Got an object without any field; accepted are {self.signal.noun}.")
        return message

    def id_of(self, given: Any, size: int) -> str:
        return hexadecimal(given, 2 * size)

    def whole(self, given: Any) -> int:
        return integer(given or 0, -_MAX_TIME, _MAX_TIME)

    def double(self, given: Any) -> float | str:
        return double(given)

    def enum(self, given: Any, names: Mapping[str, int]) -> int:
        return enum(given or 0, names)

    def optional(self, message: Any, name: str) -> Any:
        return getattr(message, name)

    def either(self, message: Any, names: Sequence[str]) -> str | None:
        return next((name for name in names if getattr(message, name) is not None), None)

    def shown(self, encoded: Any) -> Any:
        return decode_leniently(encoded) if isinstance(encoded, bytes) else encoded

    def response(self, rejected: int, message: str) -> bytes:
        if not rejected:
            return b"{}"
        return encode({"partialSuccess": {self.signal.rejected: str(rejected), "errorMessage": message}})

    def status(self, message: str) -> bytes:
        return encode({"message": message})

    def _read(self, kind: type[_M], encoded: Any) -> _M:
        wanted: Any = kind | None if kind in (JsonResource, JsonScope) else kind
        try:
            if isinstance(encoded, bytes):
                return convert_leniently(encoded, wanted) or kind()
            return convert(encoded, wanted) or kind()
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"Got JSON that is not OTLP: {error}.") from None

    def _value(self, given: JsonAnyValue | None, depth: int) -> Any:
        if given is None:
            return None
        if given.array_value is not None:
            return self._items(given.array_value.values or (), depth + 1)
        if given.kvlist_value is not None:
            return self._pairs(given.kvlist_value.values, depth + 1)
        for scalar in (given.string_value, given.bool_value, given.bytes_value):
            if scalar is not None:
                return scalar
        if given.int_value is not None:
            return wide_integer(given.int_value)
        return None if given.double_value is msgspec.UNSET else double(given.double_value)


_EMPTY: Final = JsonRecord()
_FIELDS: Final = frozenset(JsonRecord.__struct_encode_fields__)


def _parts(signal: Signal) -> Any:
    """Return the type that a request is parted by, whose records stay unread."""
    scoped = msgspec.defstruct(
        "Scoped",
        [("records", list[msgspec.Raw] | None), ("scope", msgspec.Raw, _NOTHING)],
        rename={"records": signal.records},
        gc=False,
    )
    resourced = msgspec.defstruct(
        "Resourced",
        [("scopes", list[scoped] | None), ("resource", msgspec.Raw, _NOTHING)],  # type: ignore[valid-type]
        rename={"scopes": signal.scopes},
        gc=False,
    )
    return msgspec.defstruct(
        "Request",
        [("resources", list[resourced] | None)],  # type: ignore[valid-type]
        rename={"resources": signal.resources},
    )


_PARTS: Final = {signal: _parts(signal) for signal in SIGNALS}


def _parted(request: Any, signal: Signal) -> Iterator[RecordGroup]:
    """Part a request of which something is not as it should be: only that is refused."""
    for resourced in _listed(request, signal.resources, frozenset()):
        try:
            scopes = _listed(resourced, signal.scopes, _BESIDE_SCOPES)
        except InvalidRequest as error:
            yield RecordGroup({}, {}, [resourced], error.message)
            continue
        for scoped in scopes:
            yield _group(resourced.get("resource"), scoped, signal)


def _group(resource: Any, scoped: Any, signal: Signal) -> RecordGroup:
    try:
        records = _listed(scoped, signal.records, _BESIDE_RECORDS)
    except InvalidRequest as error:
        return RecordGroup({}, {}, [scoped], error.message)
    return RecordGroup(resource, scoped.get("scope"), records)


def _listed(value: Any, name: str, beside: frozenset[str]) -> list[Any]:
    """Return a list in an object; one that has other fields instead is something else, not empty."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"Got {described(value)}; accepted is an object with {name}.")
    items = value.get(name)
    if isinstance(items, list):
        return items
    if items is not None:
        raise InvalidRequest(f"Got {described(items)} as {name}; accepted is an array.")
    if name not in value and not beside.issuperset(value):
        fields = ", ".join(list(value)[:5])[:80]
        raise InvalidRequest(f"Got an object with {fields} and no {name}; accepted is one with {name}.")
    return []
