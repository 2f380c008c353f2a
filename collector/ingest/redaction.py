"""Taking secrets out of what is kept, or shown, of requests."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from cube import json_text
from cube.errors import shown
from cube.model.environment import KEY_PREFIX, MADE_KEY
from cube.model.event import MAX_INTEGER, MIN_INTEGER

REMOVED: Final = "[removed]"

SECRETS: Final = frozenset(
    {"access_token", "api_key", "apikey", "auth_token", "authorization", "client_secret", "cookie"}
    | {"password", "proxy_authorization", "secret", "set_cookie", "token", "write_key", "x_api_key"}
)
"""Property names whose values are never stored, in any writing (``X-Api-Key``, ``apiKey``)."""

_MAX_DEPTH = 40  # leaves room for the levels around a payload
_MAX_TEXT = 64 * 1024  # more than is kept of a payload, so what is cut off is never shown
_SHORTEST_KEY = 4  # a shorter key would blot out ordinary text
_CUT_KEY = re.compile(KEY_PREFIX + r"[A-Za-z0-9_-]{1,31}(?=\.\.\.|…)")  # as messages show long values
_WORD = re.compile(r"""[^\s"'&,;:=(){}\[\]<>\\%]{4,}""")
_UNWRITTEN = re.compile(r"[^a-z0-9]")
_IN_TEXT = re.compile(
    r"""(?ix) \b (?P<name> (?:x[-_]?)? api[-_]?key | write[-_]?key | access[-_]?token | auth[-_]?token
        | (?:proxy[-_]?)? authorization | client[-_]?secret | password )
    (?P<between> \\?["']? \s* [:=] \s* \[? (?:u? \\?["'])? (?:(?:bearer|basic)\s+)? )
    [^\s"'&,;}\]\\]+"""
)


class Redaction:
    """Takes secrets out of one request's payloads.

    ``names``: properties whose values go, beside `SECRETS`. ``keys``: the request's own, which go
    wherever they stand, in texts too, as does what has the form of a made key, or of the beginning of one
    where a message cuts a value. ``is_key``: tells the keys
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
        text = _CUT_KEY.sub(REMOVED, MADE_KEY.sub(REMOVED, text))
        return _WORD.sub(lambda word: REMOVED if self._is_key(word[0]) else word[0], text)


def _plain(name: str) -> str:
    return _UNWRITTEN.sub("", name.lower())
