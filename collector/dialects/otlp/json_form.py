"""OTLP's JSON: lowerCamelCase, ids in hex, 64-bit integers as text or number, unknown fields ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

from collector.dialects.otlp.record import (
    MAX_INTEGER,
    MAX_TIME,
    MIN_INTEGER,
    Attributes,
    Group,
    LogRecord,
    Scope,
    Values,
    number,
)
from cube.errors import InvalidRequest
from cube.web.json_text import decode, encode

_T = TypeVar("_T")
_NOTHING: Final = msgspec.Raw(b"{}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)


class _Camel(msgspec.Struct, rename="camel", gc=False):
    pass


class _Scoped(_Camel):
    scope: msgspec.Raw = _NOTHING
    log_records: list[msgspec.Raw] | None = None


class _Resourced(_Camel):
    resource: msgspec.Raw = _NOTHING
    scope_logs: list[_Scoped] | None = None


class _Request(_Camel):
    resource_logs: list[_Resourced] | None = None


class _AnyValue(_Camel):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Values(_Camel):
    values: list[_AnyValue | None] | None = None


class _Pair(_Camel):
    key: str = ""
    value: _AnyValue | None = None


class _Pairs(_Camel):
    values: list[_Pair] | None = None


class _Resource(_Camel):
    attributes: list[_Pair] | None = None


class _Scope(_Camel):
    name: str | None = None
    version: str | None = None
    attributes: list[_Pair] | None = None


class _Record(_Camel):
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    body: _AnyValue | None = None
    attributes: list[_Pair] | None = None
    dropped_attributes_count: int | None = None
    flags: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class JsonForm:
    """The encoding ``application/json``."""

    content_type = "application/json"

    def __init__(self) -> None:
        self._values = Values()

    def groups(self, body: bytes) -> Iterator[Group]:
        """Part a request into groups."""
        for resourced in _typed(body, _Request).resource_logs or ():
            for scoped in resourced.scope_logs or ():
                records = [bytes(record) for record in scoped.log_records or ()]
                yield Group(bytes(resourced.resource), bytes(scoped.scope), records)

    def resource(self, encoded: bytes) -> Attributes:
        """Read a resource's attributes."""
        resource = _typed(encoded, _Resource | None)
        return {} if resource is None else _pairs(resource.attributes, 0, self._values)

    def scope(self, encoded: bytes) -> Scope:
        """Read a scope."""
        scope = _typed(encoded, _Scope | None) or _Scope()
        return Scope(scope.name or "", scope.version or "", _pairs(scope.attributes, 0, self._values))

    def record(self, encoded: bytes) -> LogRecord:
        """Read a record."""
        record = _typed(encoded, _Record)
        return LogRecord(
            time=_integer(record.time_unix_nano or 0, 0, MAX_TIME),
            observed=_integer(record.observed_time_unix_nano or 0, 0, MAX_TIME),
            severity_number=record.severity_number or 0,
            severity_text=record.severity_text or "",
            body=_value(record.body, 0, self._values),
            attributes=_pairs(record.attributes, 0, self._values),
            dropped=record.dropped_attributes_count or 0,
            flags=record.flags or 0,
            trace_id=_hex(record.trace_id, 32),
            span_id=_hex(record.span_id, 16),
            event_name=record.event_name or "",
        )

    def shown(self, encoded: bytes) -> Any:
        """Return a record that cannot be read."""
        try:
            return decode(encoded)
        except InvalidRequest:
            return encoded.decode(errors="replace")

    def response(self, rejected: int, message: str) -> bytes:
        """Make the reply to what was taken, but for so many records."""
        if not rejected:
            return b"{}"
        return encode({"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}})

    def status(self, message: str) -> bytes:
        """Make a ``google.rpc.Status``."""
        return encode({"message": message})


def _typed(text: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply to be read.") from None
    except UnicodeError:
        raise InvalidRequest("Got text that is not UTF-8; accepted is JSON in UTF-8.") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"Got no OTLP JSON: {error}.") from None


def _pairs(pairs: list[_Pair] | None, depth: int, values: Values) -> dict[str, Any]:
    values.take(len(pairs or ()), depth)
    read: dict[str, Any] = {}
    for pair in pairs or ():
        read.setdefault(pair.key, _value(pair.value, depth, values))
    return read


def _value(given: _AnyValue | None, depth: int, values: Values) -> Any:
    if given is None:
        return None
    if given.array_value is not None:
        items = given.array_value.values or ()
        values.take(len(items), depth + 1)
        return [_value(item, depth + 1, values) for item in items]
    if given.kvlist_value is not None:
        return _pairs(given.kvlist_value.values, depth + 1, values)
    if given.int_value is not None:
        return _integer(given.int_value, MIN_INTEGER, MAX_INTEGER)
    if given.double_value is not None:
        return _double(given.double_value)
    if given.string_value is not None:
        return given.string_value
    return given.bytes_value if given.bool_value is None else given.bool_value


def _integer(given: int | str, low: int, high: int) -> int:
    if isinstance(given, str) and not _INTEGER.fullmatch(given):
        raise InvalidRequest(f"Got {given[:80]!r}; accepted is an integer, as text or a number.")
    value = int(given)
    if not low <= value <= high:
        raise InvalidRequest(f"Got the integer {str(given)[:80]}; accepted are those from {low} to {high}.")
    return value


def _double(given: float | str) -> float | str:
    try:
        return number(float(given))
    except ValueError:
        raise InvalidRequest(f"Got {given[:80]!r} as a double; accepted is a number."[:200]) from None  # type: ignore[index]  # text: a number cannot fail


def _hex(given: str | None, digits: int) -> str:
    """Return an id; one that is not valid counts as absent, as the protocol says."""
    if given is None or len(given) != digits or not _HEX.fullmatch(given) or not given.strip("0"):
        return ""
    return given.lower()
