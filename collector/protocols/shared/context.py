"""What all dialects of a collector share, what each has in an environment, and a request of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from collector.ingest.context import IngestContext
from collector.ingest.intake import Intake
from collector.ingest.quota import DecodingQuota
from collector.instrumentation import DialectCounters
from collector.protocols.shared.dead_letters import Redaction
from collector.protocols.shared.dialect import DialectState, RequestContext
from collector.protocols.shared.naming import TypeNames
from collector.protocols.shared.reading import SearchLimits
from cube.model.environment import Caller
from cube.process.threads import run_by_size
from cube.store.ports import EventStore
from cube.web import Request

T = TypeVar("T")

MAX_GROWTH: Final = 4
"""How many times the bound of a body the events made of one may be together."""

DECODED_BYTES: Final = 16 * 2**20

LOOP_BYTES: Final = 16 * 1024
"""Longer bodies are translated in a thread: some take 0.5 ms a KiB, and would hold up all other requests."""


@dataclass(frozen=True, slots=True)
class DialectContext:
    """What all dialects share, beside what all ways in do (``ingest``).

    ``searches``: the limits of all together. ``decoding``: whose turn it is to be decoded, translated and
    stored.
    """

    ingest: IngestContext
    counters: DialectCounters
    searches: SearchLimits = field(default_factory=SearchLimits)
    decoding: DecodingQuota = field(default_factory=lambda: DecodingQuota(DECODED_BYTES))


@dataclass(frozen=True, slots=True)
class DialectTarget:
    """A dialect in one environment: where its events go, and what it remembers.

    ``order``: held by the request that is translated, until its thread has ended.
    """

    intake: Intake
    events: EventStore
    types: TypeNames
    state: DialectState
    order: asyncio.Lock


@dataclass(frozen=True, slots=True)
class AdmittedRequest:
    """A request that was admitted: whose it is, when it came, and what its dead letters do not show."""

    request: Request
    caller: Caller
    target: DialectTarget
    now: int
    redaction: Redaction

    @property
    def context(self) -> RequestContext:
        """What its translation may know."""
        key, environment = self.caller.key, self.caller.environment.name
        return RequestContext(self.now, environment, self.target.state, None if key is None else key.id)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function, in a thread where a large body could block the event loop for long."""
        return await run_by_size(len(self.request.body), LOOP_BYTES, work, *arguments)
