"""Serving: who gets in, what becomes of each connection, and leaving the port without losing anybody."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from dataclasses import replace
from typing import Any

import tornado.platform.asyncio  # noqa: F401 - else the first connection waits for it
from tornado.httpserver import HTTPServer

from cube.errors import InvalidSettings
from cube.process.activation import is_handed_over
from cube.process.event_loop import LoopLagProbe, MemoryTrimmer, open_files
from cube.process.listening import (
    BACKLOG,
    HANDSHAKE_SECONDS,
    address,
    admit,
    hold_new,
    is_shared,
    open_listening,
)
from cube.settings import CollectorSettings, EvaluatorSettings, HttpSettings
from cube.web.connection import ConnectionReaper, SecureStream, Stream
from cube.web.handler import Requests
from cube.web.service import Service

OTHER_FILES = 64
"""Files of the process that are not connections of clients."""

_UNBOUNDED = 2**63  # bodies are counted by `cube.web.body`, so that a refusal is a JSON reply
_FULL_BODY = b'{"error":"All connections that may be open are taken."}'
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n" + (
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_FULL_BODY), _FULL_BODY)
)
_PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Server:
    """Serves a `Service` on one port from the moment it is made; port 0 is any free one.

    ``tls``: then it speaks HTTPS alone. ``reuse_port``: others may listen there, too. Raises
    `InvalidSettings` where the address cannot be had.
    """

    def __init__(
        self,
        service: Service,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> None:
        self.service = service
        self._tls = tls
        self._http = HTTPServer(
            Requests(service), max_body_size=_UNBOUNDED, max_header_size=service.http.head_bytes
        )
        self._http.conn_params.header_timeout = None  # see `ConnectionReaper`
        self._listening = open_listening(host, port, reuse_port=reuse_port)
        self._held = False
        self.port: int = self._listening.getsockname()[1]
        self.address = address(host, self.port)
        self.url = f"{'http' if tls is None else 'https'}://{self.address}"
        self._loop = asyncio.get_running_loop()
        self._reaper = ConnectionReaper(_bounded(service.http), service.telemetry.cut.inc)
        service.telemetry.connections.set_function(lambda: len(self._reaper))
        self._lag_probe = LoopLagProbe(service.telemetry.lag.observe)
        self._trimmer = MemoryTrimmer()
        self._loop.add_reader(self._listening, self._accept)

    async def stop(self, seconds: float) -> bool:
        """Stop accepting, and finish what was accepted, within so many seconds.

        Returns whether all was finished; what was not is cut off.
        """
        deadline = self._loop.time() + seconds
        await self._leave(seconds)
        self._reaper.stopping = True
        try:
            async with asyncio.timeout_at(deadline):
                await self.service.finish()
        except TimeoutError:
            _log.warning("not all requests were finished within %g s; they are cut off", seconds)
            return False
        finally:
            self._lag_probe.stop()
            self._trimmer.stop()
            self._reaper.stop()
            self._reaper.cut_all()
            await self._http.close_all_connections()
        return True

    async def _leave(self, seconds: float) -> None:
        """Leave the port, taking everybody along whose connection has begun.

        Where others share it, or will have it, requests are served meanwhile, the last one on each
        connection, so that its client comes back to another process. Who waits on a socket of systemd's
        is left to the next one.
        """
        if self._listening.fileno() == -1:  # it has left before
            return
        is_passed_on = is_handed_over(self._listening)
        if is_passed_on:
            self._close()
        else:
            self._held = is_shared(self._listening) and hold_new(self._listening)
        if is_passed_on or self._held:
            self.service.leaving = True
            self._http.conn_params.no_keep_alive = True
            await asyncio.sleep(min(HANDSHAKE_SECONDS, seconds / 4))
        if not is_passed_on:
            self._accept()
            self._close()

    def _close(self) -> None:
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _accept(self) -> None:
        for _ in range(2 * BACKLOG):
            try:
                connection, at = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._take(connection, at)

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a moment: there are no files, or no memory, for another connection."""
        _log.error("no connection can be accepted now: %s", error.strerror)
        self._loop.remove_reader(self._listening)
        self._loop.call_later(_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if self._listening.fileno() != -1:
            self._loop.add_reader(self._listening, self._accept)

    def _take(self, connection: socket.socket, at: Any) -> None:
        """Serve a new connection."""
        if self._held:
            admit(connection)
        if self._reaper.is_full:
            self.service.telemetry.turned_away.inc()
            _turn_away(connection, plain=self._tls is None)
            return
        # The kernel finds the connections whose client vanished.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            stream = self._stream(connection)
        except OSError as error:  # gone before it was here, says TLS
            connection.close()
            if error.errno not in (errno.ENOTCONN, errno.EINVAL, errno.ECONNABORTED, ssl.SSL_ERROR_EOF):
                _log.debug("a connection could not be secured: %s", error)
            return
        stream.budget = self.service.incoming
        self._reaper.add(stream)
        self._http.handle_stream(stream, at)

    def _stream(self, connection: socket.socket) -> Stream:
        # Requests sent ahead wait here while one is answered; a WebSocket frame must fit as a whole.
        held = 2 * self.service.max_body_bytes + self.service.http.head_bytes
        if self._tls is None:
            return Stream(connection, max_buffer_size=held)
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return SecureStream(secured, max_buffer_size=held)


def serve(service: Service, settings: CollectorSettings | EvaluatorSettings) -> Server:
    """Serve where the settings say; raises `InvalidSettings`."""
    tls = _tls(settings)
    return Server(service, host=settings.host, port=settings.port, tls=tls, reuse_port=settings.reuse_port)


def _tls(settings: CollectorSettings | EvaluatorSettings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        if settings.tls_key:
            raise InvalidSettings("Got tls_key without tls_certificate; accepted are both, or neither.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(
            f"The certificate {settings.tls_certificate} cannot be used with its key: {error}."
        ) from None
    return context


def _bounded(http: HttpSettings) -> HttpSettings:
    """Return the bounds of connections: no more than the process may open."""
    connections = max(1, min(http.connections, open_files() - OTHER_FILES))
    if connections < http.connections:
        _log.info("%d connections are accepted, as the process may open no more files", connections)
    return replace(http, connections=connections)


def _turn_away(connection: socket.socket, *, plain: bool) -> None:
    with contextlib.suppress(OSError), connection:  # who does not wait to hear it has gone
        connection.setblocking(False)
        if plain:
            connection.send(_FULL)
            connection.shutdown(socket.SHUT_WR)
