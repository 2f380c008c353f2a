"""Dead letters: events of type ``cube_rejected`` that keep what was not understood, without its keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from collector.ingest.redaction import Redaction
from collector.protocols.shared.dialect import Rejection
from cube import json_text
from cube.errors import InvalidEvent
from cube.model.event import Event
from cube.model.tier import HOUR

REJECTED: Final = "cube_rejected"
MAX_DEAD_LETTERS: Final = 100
"""Of one request; what is rejected beyond it is told by one dead letter more."""

MAX_PAYLOAD_BYTES: Final = 16 * 1024

_MAX_REASON = 500


def dead_letters(
    dialect: str, rejections: Sequence[Rejection], redaction: Redaction, *, first: int = 0, now: int
) -> list[Event]:
    """Make the events ``{dialect, reason, payload}`` of one request's rejections, from its `first` on.

    A payload over `MAX_PAYLOAD_BYTES` is cut and is then the beginning of its JSON text. The id comes
    from the content, its place in the request and the hour: a request sent again soon stores nothing
    twice, and one that comes every hour is seen every hour.
    """
    made: list[Event] = []
    for place, rejection in enumerate(rejections[:MAX_DEAD_LETTERS], first):
        payload = redaction.clean(rejection.payload)
        text = json_text.encode(payload)
        if len(text) > MAX_PAYLOAD_BYTES:
            payload = text[:MAX_PAYLOAD_BYTES].decode(errors="ignore")
        reason = redaction.text(rejection.reason)[:_MAX_REASON]
        data = {"dialect": dialect, "reason": reason, "payload": payload}
        try:
            made.append(_event(place, data, now))
        except InvalidEvent:  # no JSON for an event, such as an integer of 100 digits: kept as text
            text = json_text.encode(payload)
            made.append(_event(place, {**data, "payload": text.decode()}, now))
    rest = rejections[MAX_DEAD_LETTERS:]
    if rest:
        reason = redaction.text(rest[0].reason)[:_MAX_REASON]
        reason = f"{len(rest)} more of this request were refused, the first of them: {reason}"
        made.append(_event(MAX_DEAD_LETTERS, {"dialect": dialect, "reason": reason, "count": len(rest)}, now))
    return made


def _event(place: int, data: dict[str, Any], now: int) -> Event:
    content = json_text.encode([place, HOUR.floor(now), data])
    id = hashlib.sha256(content).hexdigest()[:32]
    return Event.parse({"type": REJECTED, "id": id, "data": data}, now=now)
