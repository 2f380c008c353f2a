"""OTLP's protobuf. Requests are parted here; the official classes read one record after the other.

Only so does a record that cannot be read cost nothing but itself, and a body of millions of empty
records (two bytes each, 70 times that once decoded) no memory. Imported with the first request
that needs it: the generated classes take 5 MiB.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as service
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.logs.v1 import logs_pb2 as logs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1 import resource_pb2 as resource
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

from collector.protocols.otlp.encoding import METRICS, Encoding, RecordGroup
from collector.protocols.otlp.record import LogRecord, number
from collector.protocols.shared.protobuf_wire import Wire
from cube.errors import InvalidRequest
from cube.json_text import storable

_M = TypeVar("_M", bound=Message)

MAX_FIELDS: Final = 40_000
"""As many fields as one request may have at the levels parted here."""

# Requests of all signals have the same numbers.
_RESOURCE_LOGS = service.ExportLogsServiceRequest.RESOURCE_LOGS_FIELD_NUMBER
_RESOURCE = logs.ResourceLogs.RESOURCE_FIELD_NUMBER
_SCOPE_LOGS = logs.ResourceLogs.SCOPE_LOGS_FIELD_NUMBER
_SCOPE = logs.ScopeLogs.SCOPE_FIELD_NUMBER
_LOG_RECORDS = logs.ScopeLogs.LOG_RECORDS_FIELD_NUMBER


class Protobuf(Encoding):
    """The encoding ``application/x-protobuf``."""

    content_type = "application/x-protobuf"
    _resource_kind = resource.Resource
    _scope_kind = common.InstrumentationScope

    def groups(self, body: bytes) -> Iterator[RecordGroup]:
        """Part a request into groups. Fields may come in any order; a message in parts is joined."""
        wire = Wire(MAX_FIELDS, "resources, scopes and records")
        found = list(_all(wire.submessages(body), _RESOURCE_LOGS))
        if body and not found:
            wanted = f"an OTLP request for {self.signal.noun}"
            raise InvalidRequest(f"Got a message without {self.signal.resources}; accepted is {wanted}.")
        for resourced in found:
            fields = list(wire.submessages(resourced))
            described = b"".join(_all(fields, _RESOURCE))
            for scoped in _all(fields, _SCOPE_LOGS):
                parts = list(wire.submessages(scoped))
                yield RecordGroup(described, b"".join(_all(parts, _SCOPE)), list(_all(parts, _LOG_RECORDS)))

    def record(self, encoded: bytes) -> LogRecord:
        record = self._read(logs.LogRecord, encoded)
        if encoded and not record.ListFields():
            raise InvalidRequest("Got a message without any field of a log record; accepted are log records.")
        return LogRecord(
            time=record.time_unix_nano,
            observed=record.observed_time_unix_nano,
            severity_number=record.severity_number,
            severity_text=record.severity_text,
            body=self._value(record.body, 0),
            attributes=self._pairs(record.attributes, 0),
            dropped=record.dropped_attributes_count,
            flags=record.flags,
            trace_id=_hex(record.trace_id, 16),
            span_id=_hex(record.span_id, 8),
            event_name=record.event_name,
        )

    def message(self, encoded: bytes) -> Any:
        message = self._read(metrics.Metric if self.signal is METRICS else trace.Span, encoded)
        if encoded and not message.ListFields():
            raise InvalidRequest(f"Got a message without any field; accepted are {self.signal.noun}.")
        return message

    def id_of(self, given: bytes, size: int) -> str:
        return _hex(given, size)

    def whole(self, given: int) -> int:
        return given

    def double(self, given: float) -> float | str:
        return number(given)

    def enum(self, given: int, names: Mapping[str, int]) -> int:
        return given

    def optional(self, message: Any, name: str) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    def either(self, message: Any, names: Sequence[str]) -> str | None:
        return next((name for name in names if message.HasField(name)), None)

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
        """Make a ``google.rpc.Status``: its message has the number that a partial success's has."""
        return service.ExportLogsPartialSuccess(error_message=storable(message)).SerializeToString()

    def _read(self, kind: type[_M], encoded: bytes) -> _M:
        try:
            return kind.FromString(encoded)
        except DecodeError as error:
            raise InvalidRequest(f"Got bytes that are not OTLP in protobuf: {str(error)[:200]}.") from None

    def _value(self, given: common.AnyValue, depth: int) -> Any:
        kind = given.WhichOneof("value")
        match kind:
            case "array_value":
                return self._items(given.array_value.values, depth + 1)
            case "kvlist_value":
                return self._pairs(given.kvlist_value.values, depth + 1)
            case "bytes_value":
                return _base64(given.bytes_value)
            case "double_value":
                return number(given.double_value)
            case None:
                return None
            case _:
                return getattr(given, kind)


def _all(fields: Iterable[tuple[int, bytes]], wanted: int) -> Iterator[bytes]:
    return (value for number, value in fields if number == wanted)


def _hex(given: bytes, size: int) -> str:
    """Return an id in hex; one that is not valid counts as absent, as the protocol says."""
    return given.hex() if len(given) == size and any(given) else ""


def _base64(given: bytes) -> str:
    return base64.b64encode(given).decode()
