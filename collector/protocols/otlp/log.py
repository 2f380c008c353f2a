"""Log records and events as events: a record with a name is of that type, others are a ``log``."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from collector.protocols.otlp.encoding import Drafter, Encoding
from collector.protocols.otlp.record import Attributes, InstrumentationScope, LogRecord, present
from collector.protocols.shared.dialect import Draft
from collector.protocols.shared.values import Occurrences
from cube.json_text import encode
from cube.model.event import ABSENT

_UID: Final = "log.record.uid"


class LogDrafter(Drafter):
    """Makes the drafts of log records.

    ``occurrences``: of the request's records; None where ids are not made of content.
    """

    def __init__(
        self,
        encoding: Encoding,
        resource: Attributes,
        scope: InstrumentationScope,
        occurrences: Occurrences | None,
    ) -> None:
        self._encoding = encoding
        self._shared = present(resource=resource, scope=msgspec.to_builtins(scope))
        self._occurrences = occurrences
        self._digest = hashlib.sha256(encode([resource, scope]))

    def draft(self, part: Any) -> Draft:
        self._encoding.check_size(part)
        record = self._encoding.record(part)
        data = present(
            event_name=record.name,
            body=record.body,
            attributes=record.attributes,
            severity=present(number=record.severity_number, text=record.severity_text),
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
