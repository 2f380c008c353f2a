"""Spans: what was done, from when to when, as events of type ``span``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from collector.protocols.otlp.encoding import Drafter, Encoding
from collector.protocols.otlp.record import Attributes, InstrumentationScope, milliseconds, present
from collector.protocols.shared.dialect import Draft
from cube.errors import InvalidRequest

TYPE: Final = "span"

KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("unset", "ok", "error")

_KIND_NAMES: Final = {f"SPAN_KIND_{name.upper()}": number for number, name in enumerate(KINDS)}
_STATUS_NAMES: Final = {f"STATUS_CODE_{name.upper()}": number for number, name in enumerate(STATUSES)}
_NS_PER_MS = 10**6


class SpanDrafter(Drafter):
    """Makes the drafts of spans."""

    def __init__(self, encoding: Encoding, resource: Attributes, scope: InstrumentationScope) -> None:
        self._encoding = encoding
        self._shared = present(resource=resource, scope=msgspec.to_builtins(scope))

    def draft(self, part: Any) -> Draft:
        """Make the event of a span: at its start, with the id of its trace and its own."""
        self._encoding.check_size(part)
        of, span = self._encoding, self._encoding.message(part)
        trace_id, span_id = of.id_of(span.trace_id, 16), of.id_of(span.span_id, 8)
        if not trace_id or not span_id:
            raise InvalidRequest(
                "Got a span without a traceId of 16 bytes and a spanId of 8, not all of them 0."
            )
        start, end = of.whole(span.start_time_unix_nano), of.whole(span.end_time_unix_nano)
        kind = of.enum(span.kind, _KIND_NAMES)
        data = {
            "name": span.name or "",
            "kind": KINDS[kind] if 0 <= kind < len(KINDS) else str(kind),
            "trace_id": trace_id,
            "span_id": span_id,
            **present(parent_span_id=of.id_of(span.parent_span_id, 8)),
            "duration_ms": (end - start) / _NS_PER_MS if start and end >= start else None,
            **self._status(span.status),
            **present(
                attributes=of.pairs(span.attributes),
                events=[self._event(each) for each in of.counted(span.events)],
                links=[self._link(each) for each in of.counted(span.links)],
                trace_state=span.trace_state,
                flags=of.whole(span.flags),
                dropped_attributes_count=of.whole(span.dropped_attributes_count),
                dropped_events_count=of.whole(span.dropped_events_count),
                dropped_links_count=of.whole(span.dropped_links_count),
                start_time_unix_nano=str(start or ""),
                end_time_unix_nano=str(end or ""),
            ),
            **self._shared,
        }
        return Draft(TYPE, milliseconds(start), trace_id + span_id, data, data, fixed=True)

    def _status(self, status: Any) -> Mapping[str, Any]:
        if status is None:
            return {"status": STATUSES[0]}
        code = self._encoding.enum(status.code, _STATUS_NAMES)
        word = STATUSES[code] if 0 <= code < len(STATUSES) else str(code)
        return {"status": word, **present(status_message=status.message)}

    def _event(self, event: Any) -> dict[str, Any]:
        of = self._encoding
        return present(
            name=event.name,
            time_unix_nano=str(of.whole(event.time_unix_nano) or ""),
            attributes=of.pairs(event.attributes),
            dropped_attributes_count=of.whole(event.dropped_attributes_count),
        )

    def _link(self, link: Any) -> dict[str, Any]:
        of = self._encoding
        return present(
            trace_id=of.id_of(link.trace_id, 16),
            span_id=of.id_of(link.span_id, 8),
            trace_state=link.trace_state,
            attributes=of.pairs(link.attributes),
            flags=of.whole(link.flags),
            dropped_attributes_count=of.whole(link.dropped_attributes_count),
        )
