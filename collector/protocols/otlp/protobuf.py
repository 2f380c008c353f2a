"""OTLP's protobuf. Requests are parted by `wire`; the official classes read one record after the other.

Only so does a record that cannot be read cost nothing but itself, and a body of millions of empty
records (two bytes each, 70 times that once decoded) no memory. Imported with the first request
that needs it: the generated classes take 5 MiB.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as service
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.logs.v1 import logs_pb2 as logs
from opentelemetry.proto.resource.v1 import resource_pb2 as resource

from collector.protocols.otlp.record import Attributes, Group, LogRecord, Scope, Values, number
from collector.protocols.otlp.wire import Wire, bytes_field
from cube.errors import InvalidRequest

_M = TypeVar("_M", bound=Message)

_RESOURCE_LOGS = service.ExportLogsServiceRequest.RESOURCE_LOGS_FIELD_NUMBER
_RESOURCE = logs.ResourceLogs.RESOURCE_FIELD_NUMBER
_SCOPE_LOGS = logs.ResourceLogs.SCOPE_LOGS_FIELD_NUMBER
_SCOPE = logs.ScopeLogs.SCOPE_FIELD_NUMBER
_LOG_RECORDS = logs.ScopeLogs.LOG_RECORDS_FIELD_NUMBER
_STATUS_MESSAGE: Final = 2
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


class Protobuf:
    """The encoding ``application/x-protobuf``."""

    content_type = "application/x-protobuf"

    def __init__(self) -> None:
        self._values = Values()

    def groups(self, body: bytes) -> Iterator[Group]:
        """Part a request into groups. Fields may come in any order; a message in parts is joined."""
        wire = Wire()
        found = list(_all(wire.submessages(body), _RESOURCE_LOGS))
        if body and not found:
            raise InvalidRequest("Got a message without resource_logs; accepted is an OTLP request for logs.")
        for resourced in found:
            fields = list(wire.submessages(resourced))
            described = b"".join(_all(fields, _RESOURCE))
            for scoped in _all(fields, _SCOPE_LOGS):
                parts = list(wire.submessages(scoped))
                yield Group(described, b"".join(_all(parts, _SCOPE)), list(_all(parts, _LOG_RECORDS)))

    def resource(self, encoded: bytes) -> Attributes:
        """Read a resource's attributes."""
        return _pairs(_read(resource.Resource, encoded).attributes, 0, self._values)

    def scope(self, encoded: bytes) -> Scope:
        """Read a scope."""
        scope = _read(common.InstrumentationScope, encoded)
        return Scope(scope.name, scope.version, _pairs(scope.attributes, 0, self._values))

    def record(self, encoded: bytes) -> LogRecord:
        """Read a record."""
        record = _read(logs.LogRecord, encoded)
        if encoded and not record.ListFields():
            raise InvalidRequest("Got a message without any field of a log record; accepted are log records.")
        return LogRecord(
            time=record.time_unix_nano,
            observed=record.observed_time_unix_nano,
            severity_number=record.severity_number,
            severity_text=record.severity_text,
            body=_value(record.body, 0, self._values),
            attributes=_pairs(record.attributes, 0, self._values),
            dropped=record.dropped_attributes_count,
            flags=record.flags,
            trace_id=_hex(record.trace_id, _TRACE_ID_BYTES),
            span_id=_hex(record.span_id, _SPAN_ID_BYTES),
            event_name=record.event_name,
        )

    def size(self, encoded: bytes) -> int:
        """Return how many bytes a record takes."""
        return len(encoded)

    def shown(self, encoded: bytes) -> Any:
        """Return a record that cannot be read, in base64."""
        return {"base64": _base64(encoded)}

    def response(self, rejected: int, message: str) -> bytes:
        """Make the reply to what was taken, but for so many records; nothing at all where all was."""
        if not rejected:
            return b""
        partial = service.ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
        return service.ExportLogsServiceResponse(partial_success=partial).SerializeToString()

    def status(self, message: str) -> bytes:
        """Make a ``google.rpc.Status`` (of its fields the client needs one, so its class is not)."""
        return bytes_field(_STATUS_MESSAGE, message.encode(errors="replace"))


def _all(fields: Iterable[tuple[int, bytes]], wanted: int) -> Iterator[bytes]:
    return (value for number, value in fields if number == wanted)


def _read(kind: type[_M], encoded: bytes) -> _M:
    try:
        return kind.FromString(encoded)
    except DecodeError as error:
        raise InvalidRequest(f"Got bytes that are not OTLP in protobuf: {str(error)[:200]}.") from None


def _pairs(pairs: Sequence[common.KeyValue], depth: int, values: Values) -> dict[str, Any]:
    values.take(len(pairs), depth)
    read: dict[str, Any] = {}
    for pair in pairs:
        read.setdefault(pair.key, _value(pair.value, depth, values))
    return read


def _value(given: common.AnyValue, depth: int, values: Values) -> Any:
    kind = given.WhichOneof("value")
    match kind:
        case "array_value":
            items = given.array_value.values
            values.take(len(items), depth + 1)
            return [_value(item, depth + 1, values) for item in items]
        case "kvlist_value":
            return _pairs(given.kvlist_value.values, depth + 1, values)
        case "bytes_value":
            return _base64(given.bytes_value)
        case "double_value":
            return number(given.double_value)
        case None:
            return None
        case _:
            return getattr(given, kind)


def _hex(given: bytes, size: int) -> str:
    """Return an id in hex; one that is not valid counts as absent, as the protocol says."""
    return given.hex() if len(given) == size and any(given) else ""


def _base64(given: bytes) -> str:
    return base64.b64encode(given).decode()
