"""Sockets that systemd opened for us, as sd_listen_fds(3) hands them over.

They stay open while the daemon stops and starts again: what comes meanwhile waits in the kernel. So a
socket of these is left as it is: neither held back from new connections nor given a peer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping

from cube.errors import InvalidSettings

FIRST = 3
"""The first file descriptor that is handed over."""

_KINDS = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}
_taken: set[int] = set()


def handed_over(environ: Mapping[str, str] = os.environ) -> range:
    """Return the file descriptors that are for this process."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    return range(FIRST, FIRST + int(environ.get("LISTEN_FDS", "0")))


def find(kind: socket.SocketKind, host: str, port: int) -> int | None:
    """Return the file descriptor that was handed over for an address; None where there is none.

    ``kind``: SOCK_STREAM for one that listens, SOCK_DGRAM for UDP.
    """
    numbers = handed_over()
    wanted = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0][4][:2] if numbers else ()
    for number, found in _sockets(numbers):
        if found.type == kind and found.getsockname()[:2] == wanted:
            return number
    return None


def take(kind: socket.SocketKind, host: str, port: int) -> socket.socket | None:
    """Return a socket on what `find` finds."""
    number = find(kind, host, port)
    if number is None:
        return None
    _taken.add(number)
    taken = socket.socket(fileno=os.dup(number))
    os.set_inheritable(number, False)
    taken.setblocking(False)
    return taken


def is_handed_over(own: socket.socket) -> bool:
    """Tell whether a socket is one that was handed over."""
    node = os.fstat(own.fileno()).st_ino
    return any(os.fstat(number).st_ino == node for number in handed_over())


def refuse_the_rest() -> None:
    """Raise `InvalidSettings` where a socket was handed over that nobody took: its clients would hang."""
    for number, found in _sockets(handed_over()):
        if number not in _taken:
            at = found.getsockname()
            place = ":".join(map(str, at[:2])) if isinstance(at, tuple) else str(at)
            raise InvalidSettings(
                f"Got a socket for {place} ({_KINDS.get(found.type, 'neither TCP nor UDP')}) from systemd;"
                " accepted are the hosts and ports of the settings."
            )


def _sockets(numbers: range) -> Iterator[tuple[int, socket.socket]]:
    for number in numbers:
        found = socket.socket(fileno=number)
        try:
            yield number, found
        finally:
            found.detach()
