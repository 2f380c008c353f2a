"""A log in which a sentence that is true for long is not written again and again."""

from __future__ import annotations

import logging
import time

PAUSE_SECONDS = 60.0
"""The same sentence is logged again after so long."""

_MAX_SENTENCES = 100


class ThrottledLog:
    """Logs each sentence as an error, at most once in `PAUSE_SECONDS`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}

    def error(self, sentence: str) -> None:
        """Log a sentence, unless that was done just now."""
        now = time.monotonic()
        if now - self._said.get(sentence, -PAUSE_SECONDS) < PAUSE_SECONDS:
            return
        if len(self._said) >= _MAX_SENTENCES:
            self._said.clear()
        self._said[sentence] = now
        self._log.error("%s", sentence)
