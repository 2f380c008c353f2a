"""What dialects remember between requests: in memory, and bounded."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Any, Final

CAPACITY: Final = 100_000
"""Entries of one dialect in one environment; a collectd host has some hundreds."""

_MAX_KEY_LENGTH = 64


class Memory:
    """A `DialectState` that forgets the least recently used; large requests use it in a thread."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._lock = Lock()

    def get(self, kind: str, key: str) -> Any:
        """Return what was put last; None where nothing is known."""
        entry = (kind, _short(key))
        with self._lock:
            if entry not in self._entries:
                return None
            self._entries.move_to_end(entry)
            return self._entries[entry]

    def put(self, kind: str, key: str, value: Any) -> None:
        """Remember a value."""
        entry = (kind, _short(key))
        with self._lock:
            self._entries[entry] = value
            self._entries.move_to_end(entry)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)


def _short(key: str) -> str:
    """Keep clients from filling the memory with long keys."""
    if len(key) <= _MAX_KEY_LENGTH:
        return key
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest() + "#"
