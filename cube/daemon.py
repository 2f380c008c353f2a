"""What both daemons do as processes: read settings, open stores, refuse exposure, serve until stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cube.errors import InvalidSettings, Unavailable, shown
from cube.process import activation
from cube.process.error_reports import reporting
from cube.process.event_loop import WORK_SHARE, stop_signal, tell_ready
from cube.process.logs import set_up_log
from cube.settings import DaemonSettings, environments_of, load, settings_of_both, unknown_variables
from cube.store.factory import opened
from cube.store.ports import Store
from cube.store.record_ports import KeyStore
from cube.store.status import StatusReporter
from cube.store.url import refuse_foreign
from cube.web import Authenticator, Hosts, KeyReader, KeyRing, following_keys, load_keys

S = TypeVar("S", bound=DaemonSettings)

_log = logging.getLogger("cube")


class Daemon(Protocol):
    """A collector or an evaluator that listens."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where it listens, as the ready-file says it."""

    def told(self, environment: str) -> Mapping[str, Any]:
        """Return what the status of its process tells of an environment, as JSON."""

    def close_revoked(self) -> None:
        """End the WebSockets whose openers' keys count no more."""

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and finish what was accepted, within so many seconds."""


@contextmanager
def begun(cls: type[S], arguments: Sequence[str]) -> Iterator[S]:
    """Read the settings and set up the log; a refusal within the block ends the process with a sentence."""
    try:
        settings = load(cls, arguments, os.environ)
        refuse_foreign(settings.store, settings.foreign)
        set_up_log(settings.program, level=settings.log_level, format=settings.log_format)
        for sentence in unknown_variables(os.environ, [setting.key for setting in settings_of_both()]):
            _log.warning("%s", sentence)
        for key in settings.keys:
            if key.weak:
                _log.warning(
                    "the key %s of %s could be guessed; `cube keys hash` refuses it", key.id, key.environment
                )
        with reporting(settings.sentry_dsn, settings.program):
            yield settings
    except (InvalidSettings, Unavailable) as error:
        sys.stderr.write(f"{cls.program}: {error.message}\n")
        raise SystemExit(1) from None


async def host(
    settings: DaemonSettings,
    start: Callable[[Mapping[str, Store], Authenticator], Awaitable[Daemon]],
    *,
    late: bool = False,
    remembered: Callable[[KeyStore], KeyReader] = lambda keys: keys,
    turns: Path | None = None,
) -> None:
    """Open the environments' stores, start a daemon on them, and stop it cleanly when told to.

    ``start`` takes the stores by the names of their environments, and who may call. ``late``: a MongoDB
    need not answer yet. ``remembered``: what reads the keys, given the store's. ``turns``: a directory of the
    processes that write to the same files (see `opened`).
    """
    environments = environments_of(settings)
    async with opened(
        settings.store, environments, settings.database, foreign=settings.foreign, late=late, turns=turns
    ) as databases:
        keys, ring = remembered(databases.keys), KeyRing(settings.keys)
        await load_keys(keys, ring)
        authenticator = Authenticator(environments, ring, allowed_hosts(settings))
        refuse_exposure(settings, authenticator)
        told = stop_signal(settings.stop_seconds)
        daemon = await start(databases.stores, authenticator)
        activation.refuse_the_rest()
        tell_ready(settings.ready_file, daemon.addresses)
        _log.info("listening on %s", " and ".join(daemon.addresses.values()))
        reporter = StatusReporter(
            settings.program, databases.stores, daemon.addresses, daemon.told, settings.status_seconds
        )
        async with following_keys(keys, ring, daemon.close_revoked), reporter.running():
            await told.wait()
            _log.info("stopping")
            seconds = WORK_SHARE * settings.stop_seconds
            await asyncio.gather(daemon.stop(seconds), reporter.remove(seconds))


def refuse_exposure(settings: DaemonSettings, authenticator: Authenticator) -> None:
    """Raise `InvalidSettings` where others could reach a daemon that asks nobody for a key."""
    if authenticator.requires_keys or settings.insecure or _is_loopback(settings.host):
        return
    raise InvalidSettings(
        f"Got host = {shown(settings.host)}, which others can reach, and no keys; accepted are a loopback"
        " address, keys (cube keys add), or --insecure to be open to everybody."
    )


def allowed_hosts(settings: DaemonSettings) -> Hosts:
    """Return by which names a daemon may be called without a key.

    One that others reach was meant to be (`refuse_exposure`): then by its addresses, too.
    """
    if _is_loopback(settings.host):
        return Hosts(settings.allowed_hosts)
    return Hosts((*settings.allowed_hosts, settings.host), addresses=True)


def now() -> int:
    """Return the present instant, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False  # listening there will say what is wrong with it
    return all(ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_loopback for place in found)
