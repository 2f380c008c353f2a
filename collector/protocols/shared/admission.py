"""A request to a dialect that was admitted, and where its events go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from collector.ingest.intake import Intake
from collector.ingest.redaction import Redaction
from collector.protocols.shared.dialect import DialectState, RequestContext
from collector.protocols.shared.message_session import Turn
from collector.protocols.shared.naming import TypeNames
from cube.model.environment import Caller
from cube.process.threads import run_by_size
from cube.store.ports import EventStore
from cube.web import Request

T = TypeVar("T")

LOOP_BYTES: Final = 16 * 1024
"""Longer bodies are translated in a thread: some take 0.5 ms a KiB, and would hold up all other requests."""


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
    """A request that was admitted: whose it is, when it came, and what its dead letters do not show.

    ``turn``: of a socket's message to be handed to the intake.
    """

    request: Request
    caller: Caller
    target: DialectTarget
    now: int
    redaction: Redaction
    turn: Turn | None = None

    @property
    def context(self) -> RequestContext:
        key, environment = self.caller.key, self.caller.environment.name
        return RequestContext(self.now, environment, self.target.state, None if key is None else key.id)

    def handed_over(self) -> None:
        """Say that the intake has its events, so that the next message of its socket may follow."""
        if self.turn is not None:
            self.turn.end()

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function, in a thread where a large body could block the event loop for long."""
        return await run_by_size(len(self.request.body), LOOP_BYTES, work, *arguments)
