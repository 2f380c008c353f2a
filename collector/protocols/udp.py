"""What listens by UDP: Cube's own events, and StatsD. Nothing is answered, everything is counted."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from collector.ingest.batch import Batch, UnknownKeys, read_each
from collector.ingest.context import IngestContext
from collector.ingest.intake import Intake
from collector.instrumentation import DatagramCounters
from collector.protocols.statsd.reader import StatsdReader
from cube.errors import CubeError, InvalidEvent, Overloaded, Unavailable
from cube.model.event import Event
from cube.model.horizon import Horizon
from cube.process.activation import is_handed_over
from cube.process.listening import address, open_datagrams, turn_away
from cube.settings import CollectorSettings

RECEIVE_BUFFER_BYTES = 8 * 2**20
"""Asked of the kernel, which may give less: what arrives while the process is busy waits there."""

Read: TypeAlias = Callable[[bytes], tuple[Sequence[Event], Sequence[CubeError]]]
"""Reads a datagram: the events that are valid, and what is wrong with each other one."""

_LONGEST_BYTES = 2**16
_log = logging.getLogger(__name__)


def udp_ports(settings: CollectorSettings) -> tuple[int, ...]:
    """Return the ports on which a collector may receive datagrams."""
    statsd = (settings.dialects.statsd_port,) if settings.dialects.statsd else ()
    return (settings.udp_port, *statsd)


async def listen(context: IngestContext) -> Mapping[str, DatagramServer]:
    """Receive datagrams, by the names that the ready-file has for their addresses.

    None are where a key is needed, which no datagram carries. Raises `InvalidSettings` where a port cannot
    be had.
    """
    settings, dialects = context.settings, context.settings.dialects
    if context.authenticator.requires_keys and not settings.udp_trusted:
        return {}
    wanted: dict[str, tuple[Read, str, int]] = {"udp": (_native(context), "cube_udp", settings.udp_port)}
    if dialects.statsd:
        reader = StatsdReader(
            dialects.statsd_lines,
            context.clock,
            dialects.statsd_flavour,
            lambda: Horizon() if context.keyless is None else context.keyless.horizon,
        )
        wanted["statsd"] = (reader, "cube_statsd", dialects.statsd_port)
    servers: dict[str, DatagramServer] = {}
    async with AsyncExitStack() as undo:
        for name, (read, prefix, port) in wanted.items():
            servers[name] = server = DatagramServer(context, read, prefix, port)
            undo.callback(server.stop)
            await server.begin()
        undo.pop_all()
    return servers


def _native(context: IngestContext) -> Read:
    def read(datagram: bytes) -> tuple[Sequence[Event], Sequence[CubeError]]:
        unknown = UnknownKeys()
        events, errors = read_each(datagram, now=context.clock(), note_unknown=unknown.add)
        if unknown and context.keyless is not None:
            context.keyless.noted(unknown)
        return events, errors

    return read


class DatagramServer(asyncio.DatagramProtocol):
    """Keeps the events of the datagrams that come to a UDP port (0 is any free one), from `begin` to `stop`.

    They go to the environment that requests without a key go to; where ``udp_trusted`` says so to the
    open one, even where others need a key. ``prefix``: of the names of its counters. Raises
    `InvalidSettings` where the port cannot be had.
    """

    def __init__(self, context: IngestContext, read: Read, prefix: str, port: int) -> None:
        settings = context.settings
        self._context = context
        self._is_trusted = settings.udp_trusted
        self._read = read
        self._counters = DatagramCounters(context.registry, prefix)
        self._socket = open_datagrams(settings.host, port, reuse_port=settings.reuse_port)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._transport: asyncio.DatagramTransport | None = None
        self.address = address(*self._socket.getsockname()[:2])

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)

    def stop(self) -> None:
        """Receive what has arrived, and nothing more; on systemd's socket leave it to who comes next."""
        if self._transport is None:
            self._socket.close()
            return
        if self._transport.is_closing():
            return
        if not is_handed_over(self._socket):
            try:
                turn_away(self._socket)
                while True:
                    self.datagram_received(*self._socket.recvfrom(_LONGEST_BYTES))
            except OSError as error:
                if not isinstance(error, BlockingIOError):  # all is read
                    _log.warning("datagrams that have arrived may be lost: %s", error.strerror)
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._counters.datagrams.inc()
        keyless = self._context.keyless
        intake = keyless if self._is_trusted or not self._context.authenticator.requires_keys else None
        if intake is None:
            self._counters.denied.inc()
            return
        events, errors = self._read(data)
        for error in errors:
            (self._counters.overloaded if isinstance(error, Overloaded) else self._counters.invalid).inc()
            intake.refused(error)
        if errors:
            _log.debug("from %s by UDP: %d events that are not valid", addr[0], len(errors))
        for event in events:
            # One by one, so that the store's refusal of one does not cost the others.
            self._offer(intake, Batch((event,), len(data) // len(events)))

    def error_received(self, exc: Exception) -> None:
        """Note an error of the socket; it goes on receiving."""
        _log.debug("UDP: %s", exc)

    def _offer(self, intake: Intake, batch: Batch) -> None:
        try:
            intake.offer(batch).add_done_callback(self._settled)
        except (Overloaded, Unavailable):
            self._counters.overloaded.inc()
        except InvalidEvent:
            self._counters.invalid.inc()

    def _settled(self, settled: asyncio.Future[int]) -> None:
        error = settled.exception()
        if error is None:
            return
        self._counters.failed.inc()
        if not isinstance(error, CubeError):
            _log.error("an event that came by UDP met a fault", exc_info=error)
