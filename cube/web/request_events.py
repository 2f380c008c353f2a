"""``cube_request`` events: a daemon stores what it is sent, where it stores its callers' own events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cube.model.event import Event, make_id
from cube.web.access import Authenticator
from cube.web.request import Request

REQUEST: Final = "cube_request"


class RequestEvents:
    """Makes an event ``{ip, path, method}`` of each request that it is told of, as Square's Cube named them.

    ``path`` has the parts of a dialect's path in braces, for they may be keys; ``ip`` is left out where
    the sender asks to stay anonymous. ``store`` takes each with the name of its environment: that of the
    caller, or, where nobody was admitted, of callers without a key.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        clock: Callable[[], int],
        store: Callable[[str, Event], None],
        is_anonymous: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._store = store
        self._is_anonymous = is_anonymous

    def __call__(self, request: Request) -> None:
        """Store what the request was."""
        environment = self._authenticator.keyless if request.caller is None else request.caller.environment
        if environment is None:
            return
        ip = {} if self._is_anonymous(request) else {"ip": request.remote}
        data = {**ip, "path": request.route, "method": "WebSocket" if request.is_socket else request.method}
        self._store(environment.name, Event(REQUEST, self._clock(), make_id(), data))
