"""``cube_request`` events: the collector's own work, stored beside what it is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from collector.ingest.batch import Batch
from collector.ingest.intake import Intakes
from collector.protocols.snowplow.payload import is_anonymous
from cube.errors import CubeError
from cube.model.event import Event, make_id
from cube.web import Authenticator, Request, kind_of

TYPE = "cube_request"

_SIZE = 150  # about the JSON text of one
_log = logging.getLogger(__name__)


class RequestEvents:
    """Stores an event ``{ip, path, method}`` for each request that it is told of.

    ``path`` has the parts of a dialect's path in braces, for they may be keys; ``ip`` is left out where
    the sender asks to stay anonymous. They go to the environment of the caller, or, where nobody was
    admitted, of callers without a key. These events are a by-product: where there is no room for one it
    is left out.
    """

    def __init__(self, intakes: Intakes, authenticator: Authenticator, clock: Callable[[], int]) -> None:
        self._intakes = intakes
        self._authenticator = authenticator
        self._clock = clock

    def __call__(self, request: Request) -> None:
        """Store what the request was."""
        environment = self._authenticator.keyless if request.caller is None else request.caller.environment
        if environment is None:
            return
        data = {"path": request.route, "method": kind_of(request)}
        if not is_anonymous(request):
            data["ip"] = request.remote
        event = Event(TYPE, self._clock(), make_id(), data)
        try:
            self._intakes[environment.name].offer(Batch((event,), _SIZE)).add_done_callback(_settled)
        except CubeError as error:
            _log.debug("a %s event is left out: %s", TYPE, error.message)


def _settled(settled: asyncio.Future[int]) -> None:
    error = settled.exception()
    if error is not None:
        _log.warning("a %s event could not be stored: %s", TYPE, error)
