"""Listening sockets that several processes may share, and that are left without losing anybody.

With ``SO_REUSEPORT`` the kernel spreads new connections over the processes that listen on one address.
One that just closes its socket resets the connections that wait in its queue and those whose handshake
is under way. To leave, therefore: `hold_new`, take what comes for `HANDSHAKE_SECONDS`, close.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from cube.errors import InvalidSettings
from cube.process import activation

BACKLOG = 1024
HANDSHAKE_SECONDS = 0.5
"""How long handshakes that have begun get to end: more than a round trip, less than TCP's first second."""

# A listening socket that takes only what has come over no router drops SYNs: their senders begin with 64 or
# 128 hops. The client's kernel sends it again after a second, and then another process has it. Segments of
# handshakes that have begun pass (tcp_v4_rcv, tcp_v6_rcv). Needs no privilege. linux/in.h: 21; in6.h: 73.
_LEAST_HOPS = {socket.AF_INET: (socket.IPPROTO_IP, 21), socket.AF_INET6: (socket.IPPROTO_IPV6, 73)}
_ALL_HOPS = 255

_LISTENING = "0A"
_log = logging.getLogger(__name__)


def address(host: str, port: int) -> str:
    """Write an address as others can use it; "every interface" becomes the loopback one."""
    reachable = _reachable(host)
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def open_listening(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Listen on a TCP address; port 0 is any free one. Raises `InvalidSettings` where it cannot be had.

    A socket that systemd opened for that address is taken as it is.
    """
    try:
        given = activation.take(socket.SOCK_STREAM, host, port)
        if given is not None:
            return given
        listening = _bound(socket.SOCK_STREAM, host, port, reuse_port)
        listening.listen(BACKLOG)
    except OSError as error:
        raise InvalidSettings(f"Cannot listen on {address(host, port)}: {error.strerror}.") from None
    return listening


def open_datagrams(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Open a UDP socket, as `open_listening` a TCP one."""
    try:
        return activation.take(socket.SOCK_DGRAM, host, port) or _bound(
            socket.SOCK_DGRAM, host, port, reuse_port
        )
    except OSError as error:
        raise InvalidSettings(f"Cannot listen on UDP {address(host, port)}: {error.strerror}.") from None


def warn_of_others(host: str, port: int, *udp_ports: int) -> None:
    """Log where others have the addresses: with ``SO_REUSEPORT`` nothing else would tell."""
    datagrams = [(socket.SOCK_DGRAM, number) for number in udp_ports]
    for kind, number in ((socket.SOCK_STREAM, port), *datagrams):
        if number and activation.find(kind, host, number) is None and _is_taken(kind, host, number):
            _log.warning(
                "others listen on %s (%s) too: what arrives is shared with them, if they share (reuse_port)",
                address(host, number),
                "TCP" if kind == socket.SOCK_STREAM else "UDP",
            )


def _bound(kind: socket.SocketKind, host: str, port: int, reuse_port: bool) -> socket.socket:
    family, _, _, _, at = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    bound = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port and hasattr(socket, "SO_REUSEPORT"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setblocking(False)
        bound.bind(at)
    except BaseException:
        bound.close()
        raise
    return bound


def _is_taken(kind: socket.SocketKind, host: str, port: int) -> bool:
    """Tell whether anybody has the address: it cannot be had alone."""
    try:
        _bound(kind, host, port, reuse_port=False).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def is_shared(listening: socket.socket) -> bool:
    """Tell whether another socket listens on the same address (False where the system does not tell)."""
    at = _hexadecimal(listening)
    return sum(place == at for place in _listening_places(listening.family)) > 1


def hold_new(listening: socket.socket) -> bool:
    """Let no new handshake begin on a listening socket, while those under way end; False: it cannot.

    Connections that are accepted from then on have to be taken by `admit`.
    """
    if sys.platform != "linux":
        return False
    try:
        listening.setsockopt(*_LEAST_HOPS[listening.family], _ALL_HOPS)
    except OSError as error:
        _log.warning("new connections cannot be held back; some may be reset: %s", error.strerror)
        return False
    return True


def admit(connection: socket.socket) -> None:
    """Let a connection have what comes for it: it has inherited the bound of a listener that was held."""
    connection.setsockopt(*_LEAST_HOPS[connection.family], 0)


def turn_away(datagrams: socket.socket) -> None:
    """Have the kernel hand new datagrams to others; those that have arrived stay to be read.

    A socket with a peer takes from that one alone, so it gets one that never sends: itself.
    """
    host, port = datagrams.getsockname()[:2]
    datagrams.connect((_reachable(host), port))


def _reachable(host: str) -> str:
    """Return a host by which a socket on it is reached; of "every interface" the loopback one."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound


def _hexadecimal(listening: socket.socket) -> str:
    """Write a socket's address as /proc/net/tcp does: words of 4 bytes in the machine's order."""
    host, port, *_ = listening.getsockname()
    packed = socket.inet_pton(listening.family, host)
    words = [packed[place : place + 4] for place in range(0, len(packed), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return f"{b''.join(words).hex().upper()}:{port:04X}"


def _listening_places(family: int) -> Iterator[str]:
    table = Path("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp")
    if not table.exists():
        return
    with table.open() as lines:
        next(lines)
        for line in lines:
            _, place, _, state, *_ = line.split()
            if state != _LISTENING:  # those that listen come first, and the others may be many
                return
            yield place
