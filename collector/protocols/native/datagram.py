"""Events over UDP: nothing is answered, everything is counted."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from collector.ingest.batch import Batch
from collector.ingest.intake import Intake, Intakes
from collector.instrumentation import DatagramFigures
from cube.errors import CubeError, InvalidEvent, Overloaded, Unavailable
from cube.model.event import Event
from cube.process.listening import address, open_datagrams, turn_away
from cube.web import Authenticator

RECEIVE_BUFFER_BYTES = 8 * 2**20
"""Asked of the kernel, which may give less: what arrives while the process is busy waits there."""

Read: TypeAlias = Callable[[bytes], tuple[Sequence[Event], Sequence[CubeError]]]
"""Reads a datagram: the events that are valid, and what is wrong with each other one."""

_LONGEST_BYTES = 2**16
_log = logging.getLogger(__name__)


class Datagrams(asyncio.DatagramProtocol):
    """Keeps the events of datagrams.

    They go to the environment that requests without a key go to. ``trusted``: to the open one, even
    where others need a key.
    """

    def __init__(
        self,
        intakes: Intakes,
        authenticator: Authenticator,
        read: Read,
        figures: DatagramFigures,
        *,
        trusted: bool,
    ) -> None:
        self._intakes = intakes
        self._authenticator = authenticator
        self._trusted = trusted
        self._read = read
        self._figures = figures

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take one datagram."""
        self._figures.datagrams.inc()
        intake = self._intake()
        if intake is None:
            self._figures.denied.inc()
            return
        events, errors = self._read(data)
        for error in errors:
            (self._figures.overloaded if isinstance(error, Overloaded) else self._figures.invalid).inc()
            intake.refused(error)
        if errors:
            _log.debug("from %s by UDP: %d events that are not valid", addr[0], len(errors))
        for event in events:
            # One by one, so that the store's refusal of one does not cost the others.
            self._offer(intake, Batch((event,), len(data) // len(events)))

    def error_received(self, exc: Exception) -> None:
        """Note an error of the socket; it goes on receiving."""
        _log.debug("UDP: %s", exc)

    def _intake(self) -> Intake | None:
        if self._authenticator.requires_keys and not self._trusted:
            return None
        environment = self._authenticator.keyless
        return None if environment is None else self._intakes[environment.name]

    def _offer(self, intake: Intake, batch: Batch) -> None:
        try:
            intake.offer(batch).add_done_callback(self._settled)
        except (Overloaded, Unavailable):
            self._figures.overloaded.inc()
        except InvalidEvent:
            self._figures.invalid.inc()

    def _settled(self, settled: asyncio.Future[int]) -> None:
        error = settled.exception()
        if error is None:
            return
        self._figures.failed.inc()
        if not isinstance(error, CubeError):
            _log.error("an event that came by UDP met a fault", exc_info=error)


class DatagramServer:
    """An open UDP socket; made by `listen`."""

    def __init__(
        self, protocol: Datagrams, opened: socket.socket, transport: asyncio.DatagramTransport
    ) -> None:
        self._protocol = protocol
        self._socket = opened
        self._transport = transport
        host, port, *_ = opened.getsockname()
        self.address = address(host, port)

    @classmethod
    async def listen(
        cls, protocol: Datagrams, *, host: str, port: int, reuse_port: bool = False
    ) -> DatagramServer:
        """Open the socket; port 0 is any free one. Raises `InvalidSettings` where that fails."""
        opened = open_datagrams(host, port, reuse_port=reuse_port)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: protocol, sock=opened)
        return cls(protocol, opened, transport)

    def stop(self) -> None:
        """Receive what has arrived, and nothing more."""
        if self._transport.is_closing():
            return
        try:
            turn_away(self._socket)
            while True:
                self._protocol.datagram_received(*self._socket.recvfrom(_LONGEST_BYTES))
        except OSError as error:
            if not isinstance(error, BlockingIOError):  # all is read
                _log.warning("datagrams that have arrived may be lost: %s", error.strerror)
        self._transport.close()
