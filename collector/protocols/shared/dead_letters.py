"""Dead letters: events of type ``cube_rejected`` that keep what was not understood."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from collector.protocols.shared.dialect import Refusal
from collector.protocols.shared.redaction import Redaction
from cube import json_text
from cube.errors import InvalidEvent
from cube.model.event import Event
from cube.model.tier import HOUR

REJECTED: Final = "cube_rejected"
MAX_LETTERS = 100
"""Of one request; what is refused beyond it is told by one letter more."""

MAX_PAYLOAD_BYTES = 16 * 1024

_MAX_REASON = 500


def dead_letters(
    dialect: str, refusals: Sequence[Refusal], redaction: Redaction, *, first: int = 0, now: int
) -> list[Event]:
    """Make the events ``{dialect, reason, payload}`` of one request's refusals, from its `first` on.

    A payload over `MAX_PAYLOAD_BYTES` is cut and is then the beginning of its JSON text. The id comes
    from the content, its place in the request and the hour: a request sent again soon stores nothing
    twice, and one that comes every hour is seen every hour.
    """
    shown = refusals[:MAX_LETTERS]
    letters = [_letter(dialect, place, refusal, redaction, now) for place, refusal in enumerate(shown, first)]
    if len(refusals) > MAX_LETTERS:
        letters.append(_rest(dialect, refusals[MAX_LETTERS:], redaction, now))
    return letters


def _letter(dialect: str, place: int, refusal: Refusal, redaction: Redaction, now: int) -> Event:
    reason = redaction.text(refusal.reason)[:_MAX_REASON]
    payload = _bounded(redaction.clean(refusal.payload))
    try:
        return _event(place, {"dialect": dialect, "reason": reason, "payload": payload}, now)
    except InvalidEvent:  # no JSON for an event, such as an integer of 100 digits: kept as text
        text = json_text.encode(payload).decode()
        return _event(place, {"dialect": dialect, "reason": reason, "payload": text}, now)


def _rest(dialect: str, refusals: Sequence[Refusal], redaction: Redaction, now: int) -> Event:
    first = redaction.text(refusals[0].reason)[:_MAX_REASON]
    reason = f"{len(refusals)} more of this request were refused, the first of them: {first}"
    return _event(MAX_LETTERS, {"dialect": dialect, "reason": reason, "count": len(refusals)}, now)


def _event(place: int, data: dict[str, Any], now: int) -> Event:
    content = json_text.encode([place, HOUR.floor(now), data])
    id = hashlib.sha256(content).hexdigest()[:32]
    return Event.parse({"type": REJECTED, "id": id, "data": data}, now=now)


def _bounded(payload: Any) -> Any:
    text = json_text.encode(payload)
    if len(text) <= MAX_PAYLOAD_BYTES:
        return payload
    return text[:MAX_PAYLOAD_BYTES].decode(errors="ignore")
