"""What a daemon sees to before it listens, and while it does: keys, exposure, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from cube.errors import CubeError, InvalidSettings, shown
from cube.model.environment import Key
from cube.settings import DaemonSettings
from cube.web.access import Authenticator, KeyRing
from cube.web.cross_site import Hosts

KEYS_SECONDS = 2.0
"""How often the keys collection is read: a new key counts, and a revoked one does not, within 5 s."""

_log = logging.getLogger(__name__)


def refuse_exposure(settings: DaemonSettings, authenticator: Authenticator) -> None:
    """Raise `InvalidSettings` where others could reach a daemon that asks nobody for a key."""
    if authenticator.requires_keys or settings.insecure or _is_loopback(settings.host):
        return
    raise InvalidSettings(
        f"Got host = {shown(settings.host)}, which others can reach, and no keys; accepted are a loopback"
        " address, keys (cube keys add), or --insecure to be open to everybody."
    )


def hosts_of(settings: DaemonSettings) -> Hosts:
    """Return by which names a daemon may be called without a key.

    One that others reach was meant to be (`refuse_exposure`): then by its addresses, too.
    """
    if _is_loopback(settings.host):
        return Hosts(settings.allowed_hosts)
    return Hosts((*settings.allowed_hosts, settings.host), addresses=True)


def tls_context(settings: DaemonSettings) -> ssl.SSLContext | None:
    """Return the TLS of a daemon; None where it speaks plain HTTP. Raises `InvalidSettings`."""
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


class KeyReader(Protocol):
    """What following needs of a `KeyStore`."""

    async def all(self) -> list[Key]:
        """Return all keys."""

    async def were_added(self) -> bool:
        """Tell whether there has ever been one."""


async def take_in(keys: KeyReader, ring: KeyRing) -> None:
    """Take in the keys that count now; where there were some, a lack of them opens nothing."""
    ring.replace(await keys.all())
    if not ring.required and await keys.were_added():
        ring.required = True
        _log.warning(
            "there were keys and now there are none: requests need one until `cube keys add` adds it"
        )


@asynccontextmanager
async def followed_keys(
    keys: KeyReader, ring: KeyRing, changed: Callable[[], None], seconds: float = KEYS_SECONDS
) -> AsyncIterator[None]:
    """Keep a ring as the keys collection is, and tell of each look; unread, what was known counts."""
    task = asyncio.create_task(_follow(keys, ring, changed, seconds))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _follow(keys: KeyReader, ring: KeyRing, changed: Callable[[], None], seconds: float) -> None:
    told = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await take_in(keys, ring)
        except CubeError as error:
            if error.message != told:  # it is read every two seconds
                told = error.message
                _log.warning("the keys cannot be read now; those known before count: %s", told)
        except Exception:
            _log.exception("reading the keys met a fault; those known before count")
        else:
            told = ""
            changed()


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False  # listening there will say what is wrong with it
    return all(ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_loopback for place in found)
