"""Listening, stopping, and what a process tells about itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from cube.errors import InvalidSettings
from cube.web import json_text
from cube.web.service import Service

BACKLOG = 1024
MAX_HEAD_BYTES = 64 * 1024

_UNBOUNDED = 2**63  # bodies are counted by `cube.web.body`, so that a refusal is a JSON reply
_log = logging.getLogger(__name__)


class Server:
    """Serves a `Service` on one port from the moment it is made; port 0 is any free one.

    ``tls``: then it speaks HTTPS alone. Raises `InvalidSettings` where the address cannot be had.
    """

    def __init__(self, service: Service, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.service = service
        self._http = _LeanServer(
            service, max_body_size=_UNBOUNDED, max_header_size=MAX_HEAD_BYTES, ssl_options=tls
        )
        self._http.conn_params.header_timeout = None
        try:
            listening = _listen(host, port)
        except OSError as error:
            raise InvalidSettings(f"Cannot listen on {address(host, port)}: {error.strerror}.") from None
        self.port: int = listening.getsockname()[1]
        self.address = address(host, self.port)
        self.url = f"{'http' if tls is None else 'https'}://{self.address}"
        self._http.add_socket(listening)

    async def stop(self, seconds: float) -> bool:
        """Stop accepting, and finish what was accepted, within so many seconds.

        Returns whether all was finished; what was not is cut off.
        """
        self._http.stop()
        try:
            await asyncio.wait_for(self.service.finish(), seconds)
        except TimeoutError:
            _log.warning("not all requests were finished within %g s; they are cut off", seconds)
            return False
        finally:
            await self._http.close_all_connections()
        return True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening


def address(host: str, port: int) -> str:
    """Write an address as others can use it; "every interface" becomes the loopback one."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def stop_signal() -> asyncio.Event:
    """Return an event that is set when the process is told to stop (SIGTERM or SIGINT)."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    return told


def write_ready_file(path: str, addresses: Mapping[str, str]) -> None:
    """Tell the addresses in a file, which is there as a whole or not at all."""
    aside = Path(f"{path}.{os.getpid()}.tmp")
    aside.write_bytes(json_text.encode(addresses) + b"\n")
    aside.replace(path)


def run(main: Coroutine[object, object, None]) -> None:
    """Run a daemon to its end, on uvloop where there is one."""
    # A batch of events makes thousands of objects that need no collector; looking for cycles among them
    # at Python's usual pace takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    return uvloop.new_event_loop


class _LeanServer(HTTPServer):
    """Tornado's server without what costs a small request much of its time.

    Tornado sets a timer for every head, and turns Nagle's algorithm off and on again around every reply.
    Here it is off for good, and the kernel finds the dead connections (``SO_KEEPALIVE``).
    """

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection."""
        stream.set_nodelay(True)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        stream.set_nodelay = _leave  # type: ignore[method-assign]  # it is set already
        super().handle_stream(stream, address)


def _leave(value: bool) -> None:
    """Do nothing."""
