"""Events that an emitter could not send: counted, and told to the application without disturbing it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["full", "invalid", "refused", "closed"]
"""The queue had no room; the event cannot be written as JSON; the collector refuses it for good; the
emitter was closed before it was sent."""

QUIET_SECONDS = 60.0
"""After one line in the log about lost events the next comes so much later at the earliest."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drop:
    """Events that are lost, as JSON texts where they could be written, and one sentence that says why."""

    reason: Reason
    message: str
    events: Sequence[bytes] = ()
    count: int = 1


class Drops:
    """Counts what is dropped, by reason, and tells each `Drop` to ``on_drop``; by default to the log.

    What ``on_drop`` raises is logged. It is called in the thread that dropped, and not for what it drops
    itself.
    """

    def __init__(self, on_drop: Callable[[Drop], None] | None = None) -> None:
        self._tell = self._logged if on_drop is None else on_drop
        self._counts: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._telling = threading.local()
        self._quiet_until = 0.0
        self._unlogged = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """How many events were dropped so far, by reason."""
        with self._lock:
            return dict(self._counts)

    def add(self, drop: Drop) -> None:
        """Count what is lost, and tell it."""
        with self._lock:
            self._counts[drop.reason] += drop.count
        if getattr(self._telling, "now", False):
            return
        self._telling.now = True
        try:
            self._tell(drop)
        except Exception:  # whatever it is, the application must not meet it where it emits
            _log.exception("on_drop failed")
        finally:
            self._telling.now = False

    def _logged(self, drop: Drop) -> None:
        with self._lock:
            self._unlogged += drop.count
            if time.monotonic() < self._quiet_until:
                return
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            count, self._unlogged = self._unlogged, 0
        _log.warning("%d events are lost: %s", count, drop.message)
