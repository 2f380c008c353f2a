"""OTLP's JSON: requests are parted first, and each resource, scope and record read on its own.

Sources: the OTLP specification (lowerCamelCase, ids in hex, unknown fields ignored), and the "ProtoJSON
Format" page of protobuf: integers of 64 bits are text, but numbers are accepted, exponents and zero
fractions too (``3.0``, ``"1.76e18"``); doubles have the texts NaN and ±Infinity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from collector.protocols.otlp.record import LogEncoding, LogRecord, RecordGroup, number
from cube.errors import InvalidRequest, described
from cube.json_text import convert, convert_leniently, decode_leniently, encode
from cube.model.event import MAX_INTEGER, MIN_INTEGER

Number: TypeAlias = int | float | str
"""A number as it is given; an integer may be of any length."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_NOT_FINITE: Final = frozenset(("nan", "infinity", "-infinity", "inf", "-inf"))
_SEVERITIES: Final = {
    f"SEVERITY_NUMBER_{name}{step or ''}": 4 * place + max(step, 1)
    for place, name in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    for step in (0, 2, 3, 4)
} | {"SEVERITY_NUMBER_UNSPECIFIED": 0}


def integer(given: Number, low: int, high: int) -> int:
    """Read an integer from `low` to `high`. Raises `InvalidRequest`."""
    value = _whole(given)
    if not low <= value <= high:
        raise InvalidRequest(f"Got the integer {described(given)}; accepted are those from {low} to {high}.")
    return value


def wide_integer(given: Number) -> int | float:
    """Read an integer; one beyond 64 bits as a double, which is what it most likely was."""
    value = _whole(given)
    return value if MIN_INTEGER <= value <= MAX_INTEGER else float(value)


def double(given: Number | None) -> float | str:
    """Read a double; what is not finite as text. Null is NaN: so JavaScript writes it, as JSON."""
    if given is None:
        return number(math.nan)
    if given.__class__ is float or (isinstance(given, str) and given.lower() in _NOT_FINITE):
        return number(float(given))
    return float(_decimal(given))


def enum(given: Number) -> int:
    """Read a severity, by its number or its name; an unknown one as its number."""
    if isinstance(given, str) and given in _SEVERITIES:
        return _SEVERITIES[given]
    return integer(given, -(2**31), 2**31 - 1)


def hexadecimal(given: str | None, digits: int) -> str:
    """Return an id; one that is not valid counts as absent, as the protocol says."""
    if given is None or len(given) != digits or not _HEX.fullmatch(given) or not given.strip("0"):
        return ""
    return given.lower()


def _whole(given: Number) -> int:
    if given.__class__ is int:
        return given
    value = _decimal(given)
    if value != value.to_integral_value():
        raise InvalidRequest(f"Got {described(given)}; accepted is an integer, as text or a number.")
    return int(value)


def _decimal(given: Number) -> Decimal:
    """Read a number that a double can hold."""
    text = given.strip() if isinstance(given, str) else repr(given)
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise InvalidRequest(f"Got {described(given)}; accepted is a number that a double can hold.")
    return Decimal(text)


_NOTHING: Final = msgspec.Raw(b"{}")
_MAX_TIME: Final = 2**64 - 1
_MAX_COUNT: Final = 2**32 - 1
_BESIDE_SCOPES: Final = frozenset(("resource", "schemaUrl"))
_BESIDE_RECORDS: Final = frozenset(("scope", "schemaUrl"))


_M = TypeVar("_M", bound=msgspec.Struct)


class _Camel(msgspec.Struct, rename="camel", gc=False):
    pass


class _ScopeLogs(_Camel):
    log_records: list[msgspec.Raw] | None
    scope: msgspec.Raw = _NOTHING


class _ResourceLogs(_Camel):
    scope_logs: list[_ScopeLogs] | None
    resource: msgspec.Raw = _NOTHING


class _Request(_Camel):
    resource_logs: list[_ResourceLogs] | None


class _AnyValue(_Camel):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Number | None = None
    double_value: Number | msgspec.UnsetType | None = msgspec.UNSET
    bytes_value: str | None = None
    array_value: _ArrayValue | None = None
    kvlist_value: _KeyValueList | None = None


class _ArrayValue(_Camel):
    values: list[_AnyValue | None] | None = None


class _KeyValue(_Camel):
    key: str = ""
    value: _AnyValue | None = None


class _KeyValueList(_Camel):
    values: list[_KeyValue] | None = None


class _Resource(_Camel):
    attributes: list[_KeyValue] | None = None


class _InstrumentationScope(_Camel):
    name: str | None = None
    version: str | None = None
    attributes: list[_KeyValue] | None = None


class _Record(_Camel):
    time_unix_nano: Number | None = None
    observed_time_unix_nano: Number | None = None
    severity_number: Number | None = None
    severity_text: str | None = None
    body: _AnyValue | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: Number | None = None
    flags: Number | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class JsonForm(LogEncoding):
    """The encoding ``application/json``. What is encoded is JSON text, or a value of one read leniently."""

    content_type = "application/json"
    _resource_kind = _Resource
    _scope_kind = _InstrumentationScope

    def groups(self, body: bytes) -> Iterator[RecordGroup]:
        try:
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            yield from _parted(decode_leniently(body))
            return
        for resourced in request.resource_logs or ():
            resource = bytes(resourced.resource)
            for scoped in resourced.scope_logs or ():
                records = [bytes(record) for record in scoped.log_records or ()]
                yield RecordGroup(resource, bytes(scoped.scope), records)

    def record(self, encoded: Any) -> LogRecord:
        record = self._read(_Record, encoded)
        if record == _EMPTY and (given := self.shown(encoded)) and _FIELDS.isdisjoint(given):
            raise InvalidRequest("Got an object without any field of a log record; accepted are log records.")
        return LogRecord(
            time=integer(record.time_unix_nano or 0, 0, _MAX_TIME),
            observed=integer(record.observed_time_unix_nano or 0, 0, _MAX_TIME),
            severity_number=enum(record.severity_number or 0),
            severity_text=record.severity_text or "",
            body=self._value(record.body, 0),
            attributes=self._pairs(record.attributes, 0),
            dropped=integer(record.dropped_attributes_count or 0, 0, _MAX_COUNT),
            flags=integer(record.flags or 0, 0, _MAX_COUNT),
            trace_id=hexadecimal(record.trace_id, 32),
            span_id=hexadecimal(record.span_id, 16),
            event_name=record.event_name or "",
        )

    def shown(self, encoded: Any) -> Any:
        return decode_leniently(encoded) if isinstance(encoded, bytes) else encoded

    def response(self, rejected: int, message: str) -> bytes:
        if not rejected:
            return b"{}"
        return encode({"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}})

    def status(self, message: str) -> bytes:
        return encode({"message": message})

    def _read(self, kind: type[_M], encoded: Any) -> _M:
        wanted: Any = kind if kind is _Record else kind | None
        try:
            if isinstance(encoded, bytes):
                return convert_leniently(encoded, wanted) or kind()
            return convert(encoded, wanted) or kind()
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"Got JSON that is not OTLP: {error}.") from None

    def _value(self, given: _AnyValue | None, depth: int) -> Any:
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


_EMPTY: Final = _Record()
_FIELDS: Final = frozenset(_Record.__struct_encode_fields__)


def _parted(request: Any) -> Iterator[RecordGroup]:
    """Part a request of which something is not as it should be: only that is refused."""
    for resourced in _listed(request, "resourceLogs", frozenset()):
        try:
            scopes = _listed(resourced, "scopeLogs", _BESIDE_SCOPES)
        except InvalidRequest as error:
            yield RecordGroup({}, {}, [resourced], error.message)
            continue
        for scoped in scopes:
            yield _group(resourced.get("resource"), scoped)


def _group(resource: Any, scoped: Any) -> RecordGroup:
    try:
        records = _listed(scoped, "logRecords", _BESIDE_RECORDS)
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
