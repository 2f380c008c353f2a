"""What ``cube doctor`` looks at, and what it finds: each with what to do."""

from __future__ import annotations

import asyncio
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cube.cli.options import Place
from cube.client.connection import NO_RETRIES, HttpClient
from cube.client.evaluator import Evaluator
from cube.errors import AccessDenied, CubeError, InvalidSettings, NotFound, Unavailable
from cube.model import instant
from cube.store.url import StoreUrl

PATIENCE_SECONDS: Final = 5.0
"""A daemon, or a store, that takes longer does not answer."""

LITTLE_BYTES, LEAST_BYTES = 2**30, 100 * 2**20
"""Free on a disk: less is a warning, and a fault."""

APART_MS: Final = 5_000
"""Clocks that are further apart make horizons and live charts wrong."""

FUTURE_MS: Final = 60_000
"""A newest event that is further ahead comes from a wrong clock."""

SERVE: Final = "`cube serve` starts both daemons"


class Level(StrEnum):
    """How well it is with what was looked at."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``remedy``: what to do about it, where it is not well."""

    level: Level
    about: str
    found: str
    remedy: str = ""


class Probe(HttpClient):
    """Asks a daemon how it is."""

    default_url = ""

    def get(self, path: str) -> Any:
        """Return the answer of a route; raises as `HttpClient` does."""
        return self._request("GET", path)


def checkup(place: Place, collector: str, evaluator: str, key: str | None) -> Iterator[Finding]:
    """Look at everything; each finding as it is made."""
    yield Finding(Level.OK, "versions", f"cube {version('cube-events')}, Python {platform.python_version()}")
    yield from check_store(place, (collector, evaluator))
    yield from check_disk(place)
    yield from check_daemon("collector", collector, key)
    yield from check_daemon("evaluator", evaluator, key)
    yield from check_answers(evaluator, key)


def check_store(place: Place, addresses: tuple[str, ...]) -> Iterator[Finding]:
    """Tell whether the store can be reached, whether it has the databases, and whether keys are asked for."""
    shown = StoreUrl.shown(place.store)
    names = [environment.name for environment in place.environments]
    try:
        keys = asyncio.run(_keys(place))
    except NotFound:
        found = f"{shown} has no database {place.database} yet"
        yield Finding(Level.WARNING, "store", found, f"{SERVE}, which make it")
        return
    except (CubeError, TimeoutError) as error:
        reason = error.message if isinstance(error, CubeError) else f"{shown} does not answer."
        remedy = "start it, or name another with --store, CUBE_STORE or --config"
        yield Finding(Level.FAULT, "store", reason, remedy)
        return
    yield Finding(Level.OK, "store", f"{shown} answers; environments: {', '.join(names)}")
    if keys:
        yield Finding(Level.OK, "keys", f"{keys}: a request without one is refused")
        return
    found, is_open = (
        "none: who reaches the daemons may see and change everything",
        not all(map(is_loopback, addresses)),
    )
    remedy = "`cube keys add NAME` adds one" if is_open else ""
    yield Finding(Level.WARNING if is_open else Level.OK, "keys", found, remedy)


async def _keys(place: Place) -> int:
    """Return how many keys there are; raises `NotFound` where the store has none of the databases."""
    from cube.store.factory import is_there, opened_keys

    async with asyncio.timeout(PATIENCE_SECONDS):
        databases = [environment.database for environment in place.environments]
        if not await is_there(place.store, place.database, databases):
            raise NotFound("There is no database yet.")
        async with opened_keys(place.store, place.database) as keys:
            return len(place.keys) + len(await keys.all())


def check_disk(place: Place) -> Iterator[Finding]:
    """Tell how much room there is where an SQLite store is."""
    url = StoreUrl.parse(place.store)
    if not url.is_local:
        return
    directory = Path(url.location).resolve()
    existing = next((each for each in (directory, *directory.parents) if each.exists()), None)
    if existing is None:
        return
    free = shutil.disk_usage(existing).free
    level = Level.FAULT if free < LEAST_BYTES else Level.WARNING if free < LITTLE_BYTES else Level.OK
    remedy = "" if level is Level.OK else "make room, or set retention.event_days: a full disk refuses events"
    yield Finding(level, "disk", f"{free / 2**30:,.1f} GiB are free at {existing}", remedy)


def check_daemon(name: str, url: str, key: str | None) -> Iterator[Finding]:
    """Tell whether a daemon listens at an address, whether it is one of ours, and whether it can work."""
    try:
        with Probe(url, key=key, retries=NO_RETRIES, timeout_seconds=PATIENCE_SECONDS) as probe:
            title = _title(probe)
            if title != f"Cube {name}":
                found = f"{url} is not a Cube {name}, but {title or 'something else'}"
                yield Finding(Level.FAULT, name, found, f"give --{name}, or start it on another port")
                return
            probe.get("/readyz")
    except Unavailable as error:
        answered = error.details.get("answered")
        remedy = "its log says more" if answered else f"{SERVE}; --{name} names another address"
        yield Finding(Level.FAULT, name, error.message.partition("; `")[0], remedy)
    except CubeError as error:
        yield Finding(Level.FAULT, name, f"{url}: {error.message}", f"give --{name}")
    else:
        yield Finding(Level.OK, name, f"{url} is ready")


def _title(probe: Probe) -> str:
    """Return the name by which a daemon describes itself; "" for what is no daemon of ours."""
    try:
        described = probe.get("/openapi.json")
    except (ValueError, NotFound):  # some other server: no JSON, or no such page
        return ""
    info = described.get("info") if isinstance(described, dict) else None
    return str(info.get("title", "")) if isinstance(info, dict) else ""


def check_answers(url: str, key: str | None) -> Iterator[Finding]:
    """Tell what the evaluator says of the key, the clocks, the versions, what was refused, and the types."""
    try:
        with Evaluator(url, key=key, retries=NO_RETRIES, timeout_seconds=PATIENCE_SECONDS) as evaluator:
            before = _now()
            status = evaluator.status()
            yield from check_clock(instant.parse(status["time"]), before, _now())
            yield from check_status(status)
            yield from check_types(evaluator.types_in_detail(), _now())
    except AccessDenied as error:
        yield Finding(
            Level.FAULT, "key", error.message, "set CUBE_KEY to a key of scope read; `cube keys add`"
        )
    except (CubeError, InvalidSettings, ValueError):
        return  # that it does not answer, or is none, is told already


def check_clock(told: int, before: int, after: int) -> Iterator[Finding]:
    """Compare the evaluator's clock with this machine's, of which one was read before and after."""
    apart = told - (before + after) // 2
    if abs(apart) - (after - before) <= APART_MS:
        yield Finding(Level.OK, "clock", "the evaluator's and this machine's agree")
        return
    way = "ahead of" if apart > 0 else "behind"
    found = f"the evaluator's is {abs(apart) / 1000:,.0f} s {way} this machine's"
    yield Finding(Level.WARNING, "clock", found, "let NTP set both (timedatectl)")


def check_status(status: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at what the daemons tell of themselves."""
    own = version("cube-events")
    for daemon in status["daemons"]:
        if not daemon["live"]:
            found = f"one has ended without being stopped ({_where(daemon)})"
            yield Finding(Level.WARNING, daemon["kind"], found, "its log says why")
            continue
        theirs = daemon.get("versions", {}).get("cube", own)
        if theirs != own:
            found = f"{daemon['kind']} {_where(daemon)} is cube {theirs}, this command {own}"
            yield Finding(Level.WARNING, "versions", found, "restart the older one")
        yield from _check_spool(daemon)
    for refusal in status["refusals"]:
        example = refusal["examples"][0]["message"] if refusal["examples"] else "no example is known"
        found = f"{refusal['events']} events were refused, {refusal['reason']}: {example}"
        yield Finding(Level.WARNING, "events", found, "mend who sends them; the page's status has more")


def _check_spool(daemon: Mapping[str, Any]) -> Iterator[Finding]:
    spool = daemon.get("spool")
    if not spool:
        return
    if spool["away"]:
        found = f"the store is away, {spool['events']} events wait in the spool ({_where(daemon)})"
        yield Finding(Level.FAULT, "spool", found, "bring the store back: they follow by themselves")
    if spool["quarantined"]:
        found = f"{spool['quarantined']} events are quarantined ({_where(daemon)})"
        yield Finding(Level.WARNING, "spool", found, "`cube spool list` tells where they are")


def _where(daemon: Mapping[str, Any]) -> str:
    return f"{daemon.get('host', 'a host')}, pid {daemon.get('pid', '?')}"


def check_types(types: list[dict[str, Any]], now: int) -> Iterator[Finding]:
    """Tell what there is, and whether events come from the future."""
    if not types:
        yield Finding(Level.WARNING, "events", "there are none yet", "`cube demo` sends some")
        return
    events = sum(each.get("events", 0) for each in types)
    yield Finding(Level.OK, "events", f"{len(types)} types; {events} events in the last hour")
    for each in types:
        if each.get("last") and instant.parse(each["last"]) > now + FUTURE_MS:
            found = f"the newest of {each['type']} is of {each['last']}, which is to come"
            yield Finding(
                Level.WARNING, "events", found, "set the clock of who sends it, or horizon.future_minutes"
            )


def _now() -> int:
    return time.time_ns() // 1_000_000


def is_loopback(url: str) -> bool:
    """Tell whether an address is of this machine alone."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
