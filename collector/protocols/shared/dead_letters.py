"""Dead letters: events of type ``cube_rejected`` that keep what was not understood, without its keys."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from collector.protocols.shared.dialect import Rejection
from cube import json_text
from cube.errors import InvalidEvent, shown
from cube.model.environment import MADE_KEY
from cube.model.event import MAX_INTEGER, MIN_INTEGER, Event
from cube.model.tier import HOUR

REJECTED: Final = "cube_rejected"
MAX_DEAD_LETTERS: Final = 100
"""Of one request; what is rejected beyond it is told by one dead letter more."""

MAX_PAYLOAD_BYTES: Final = 16 * 1024

REMOVED: Final = "[removed]"

SECRETS: Final = frozenset(
    {"access_token", "api_key", "apikey", "auth_token", "authorization", "client_secret", "cookie"}
    | {"password", "proxy_authorization", "secret", "set_cookie", "token", "write_key", "x_api_key"}
)
"""Property names whose values are never stored, in any writing (``X-Api-Key``, ``apiKey``)."""

_MAX_REASON = 500
_MAX_DEPTH = 40  # leaves room for the levels around a payload
_MAX_TEXT = 64 * 1024  # more than is kept of a payload, so what is cut off is never shown
_SHORTEST_KEY = 4  # a shorter key would blot out ordinary text
_WORD = re.compile(r"""[^\s"'&,;:=(){}\[\]<>\\%]{4,}""")
_UNWRITTEN = re.compile(r"[^a-z0-9]")
_IN_TEXT = re.compile(
    r"""(?ix) \b (?P<name> (?:x[-_]?)? api[-_]?key | write[-_]?key | access[-_]?token | auth[-_]?token
        | (?:proxy[-_]?)? authorization | client[-_]?secret | password )
    (?P<between> \\?["']? \s* [:=] \s* \[? (?:u? \\?["'])? (?:(?:bearer|basic)\s+)? )
    [^\s"'&,;}\]\\]+"""
)


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


class Redaction:
    """Takes secrets out of one request's payloads.

    ``names``: properties whose values go, beside `SECRETS`. ``keys``: the request's own, which go
    wherever they stand, in texts too, as does what has the form of a made key. ``is_key``: tells the keys
    of this server, which go as whole words: a damaged text may hold one where nothing names it.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        keys: Iterable[str] = (),
        is_key: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._is_key = is_key
        self._names = frozenset(map(_plain, SECRETS.union(names)))
        self._keys = sorted((key for key in keys if len(key) >= _SHORTEST_KEY), key=len, reverse=True)

    def clean(self, value: Any, depth: int = _MAX_DEPTH) -> Any:
        """Return a JSON value without secrets at any depth; what is very deep becomes text."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping | list | tuple):
            if depth == 0:
                try:
                    return self.text(json_text.encode(value).decode())
                except (RecursionError, TypeError, ValueError):
                    return "[nested too deeply]"
            if isinstance(value, Mapping):
                return {
                    self.text(str(name)): REMOVED
                    if _plain(str(name)) in self._names
                    else self.clean(item, depth - 1)
                    for name, item in value.items()
                }
            return [self.clean(item, depth - 1) for item in value]
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace"))
        if isinstance(value, float):
            return value if math.isfinite(value) else self.text(shown(value))
        # What an event's data may have stands as it is; other numbers become text.
        is_plain = value is None or (isinstance(value, int) and MIN_INTEGER <= value <= MAX_INTEGER)
        return value if is_plain else self.text(str(value))

    def text(self, text: str) -> str:
        """Return a text without secrets: neither the request's keys nor ``api_key=…`` and the like."""
        text = text[:_MAX_TEXT]
        text = json_text.storable(text)
        text = _IN_TEXT.sub(rf"\g<name>\g<between>{REMOVED}", text)
        for key in self._keys:
            text = text.replace(key, REMOVED)
        text = MADE_KEY.sub(REMOVED, text)
        return _WORD.sub(lambda word: REMOVED if self._is_key(word[0]) else word[0], text)


def _plain(name: str) -> str:
    return _UNWRITTEN.sub("", name.lower())
