"""OTLP's JSON: lowerCamelCase, ids in hex, 64-bit integers as text or number, unknown fields ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec

from collector.dialects.otlp.record import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_TIME,
    MIN_INTEGER,
    Attributes,
    Group,
    LogRecord,
    Scope,
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

    def groups(self, body: bytes) -> Iterator[Group]:
        """Part a request into groups."""
        for resourced in _typed(body, _Request).resource_logs or ():
            for scoped in resourced.scope_logs or ():
                records = [bytes(record) for record in scoped.log_records or ()]
                yield Group(bytes(resourced.resource), bytes(scoped.scope), records)

    def resource(self, encoded: bytes) -> Attributes:
        """Read a resource's attributes."""
        resource = _typed(encoded, _Resource | None)
        return {} if resource is None else _pairs(resource.attributes, 0)

    def scope(self, encoded: bytes) -> Scope:
        """Read a scope."""
        scope = _typed(encoded, _Scope | None) or _Scope()
        return Scope(scope.name or "", scope.version or "", _pairs(scope.attributes, 0))

    def record(self, encoded: bytes) -> LogRecord:
        """Read a record."""
        record = _typed(encoded, _Record)
        return LogRecord(
            time=_integer(record.time_unix_nano or 0, 0, MAX_TIME),
            observed=_integer(record.observed_time_unix_nano or 0, 0, MAX_TIME),
            severity_number=record.severity_number or 0,
            severity_text=record.severity_text or "",
            body=_value(record.body, 0),
            attributes=_pairs(record.attributes, 0),
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


def _pairs(pairs: list[_Pair] | None, depth: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs or ():
        values.setdefault(pair.key, _value(pair.value, depth))
    return values


def _value(given: _AnyValue | None, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"Got values nested more than {MAX_DEPTH} levels deep.")
    match given:
        case None:
            return None
        case _AnyValue(array_value=_Values(values=values)):
            return [_value(value, depth + 1) for value in values or ()]
        case _AnyValue(kvlist_value=_Pairs(values=pairs)):
            return _pairs(pairs, depth + 1)
        case _AnyValue(int_value=int() | str() as value):
            return _integer(value, MIN_INTEGER, MAX_INTEGER)
        case _AnyValue(double_value=float() | str() as value):
            return _double(value)
        case _:
            return _first(given.string_value, given.bool_value, given.bytes_value)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


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
