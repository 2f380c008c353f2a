"""A believable day of web requests, made up: what `cube demo` sends.

The requests of a minute follow from the seed and that minute alone, and so do their ids; a higher rate adds
to them and changes none. So a run can be repeated, or overlap another, and stores nothing twice.

Each day (UTC) has a deploy that makes some pages slow until it is rolled back, and an outage of a database.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

MINUTE = 60_000
DAY = 86_400_000

Made: TypeAlias = dict[str, Any]
"""An event with an id; its time is milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class DayWindow:
    """A part of each day, [start, stop) in minutes since midnight, UTC."""

    start: int
    stop: int

    def since(self, time: int) -> float | None:
        """Return the minutes since the window began; None where the time is outside of it."""
        minute = time % DAY / MINUTE
        return minute - self.start if self.start <= minute < self.stop else None


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked for: how often (a share), how long it takes and how much it sends (medians)."""

    method: str
    path: str
    share: float
    ms: float
    size: int
    status: int = 200
    uses_database: bool = True


@dataclass(frozen=True, slots=True)
class Region:
    """Where requests arrive: a share of all, most of them at ``peak``, an hour of the day (UTC)."""

    name: str
    share: float
    peak: float
    hosts: tuple[str, ...]


DEPLOY = DayWindow(9 * 60 + 40, 10 * 60 + 35)
OUTAGE = DayWindow(16 * 60 + 10, 16 * 60 + 22)
OUTAGE_REGION = "eu-west"
STABLE, SLOW = "2.14.3", "2.15.0"
ROLL_OUT_MINUTES = 4.0
"""So long after one host of a region the next one gets the deploy."""

PAGES = (
    Page("GET", "/", 0.22, 38, 14_000),
    Page("GET", "/search", 0.16, 120, 22_000),
    Page("GET", "/products", 0.20, 64, 18_000),
    Page("GET", "/cart", 0.07, 52, 6_000),
    Page("POST", "/cart", 0.05, 75, 900, status=201),
    Page("POST", "/checkout", 0.02, 260, 1_200, status=201),
    Page("POST", "/login", 0.03, 95, 600, status=302),
    Page("GET", "/api/stock", 0.11, 21, 750),
    Page("GET", "/static/app.js", 0.08, 4, 88_000, uses_database=False),
    Page("GET", "/static/site.css", 0.06, 3, 24_000, uses_database=False),
)
REGIONS = (
    Region("eu-west", 0.45, 13.0, ("web1", "web2", "web3")),
    Region("us-east", 0.38, 19.0, ("web4", "web5", "web6")),
    Region("ap-south", 0.17, 7.5, ("web7", "web8")),
)
AGENTS = (
    ("Chrome", 0.55),
    ("Safari", 0.22),
    ("Firefox", 0.12),
    ("Edge", 0.07),
    ("Googlebot", 0.03),
    ("curl", 0.01),
)

_PAGE_SHARES = [page.share for page in PAGES]
_AGENT_NAMES, _AGENT_SHARES = zip(*AGENTS, strict=True)
_USERS = 5_000
_NIGHT = 0.25  # of the peak is left at night
_MEAN = _NIGHT + (1 - _NIGHT) * 4 / (3 * math.pi)  # of the curve in `rhythm`
_RETRIES = 1.5  # times as many requests where they fail


def traffic(seed: int, start: int, rate: Callable[[int], float]) -> Iterator[Made]:
    """Yield events without end, ascending by time, from ``start`` (milliseconds since 1970) on.

    ``rate``: how many requests a second, in the mean of a day, for the minute that begins at a time.
    """
    first = start - start % MINUTE
    for minute in _minutes(first):
        made = [event for region in REGIONS for event in _requests(seed, minute, region, rate(minute))]
        made += _deploys(seed, minute)
        made.sort(key=lambda event: (event["time"], event["id"]))
        yield from (event for event in made if event["time"] >= start)


def rhythm(region: Region, time: int) -> float:
    """Return how busy a region is at a time; 1 in the mean of a day."""
    angle = 2 * math.pi * (time % DAY / DAY - region.peak / 24)
    wave = math.pow((1 + math.cos(angle)) / 2, 1.5)
    return (_NIGHT + (1 - _NIGHT) * wave) / _MEAN


def _minutes(first: int) -> Iterator[int]:
    while True:
        yield first
        first += MINUTE


def _requests(seed: int, minute: int, region: Region, rate: float) -> Iterator[Made]:
    """Yield the requests of a region in a minute; those of a lower rate are the first of a higher one's."""
    random = Random(f"{seed} {minute} {region.name}")  # noqa: S311 - it keeps no secret
    noise, rest = random.uniform(0.9, 1.1), random.random()
    busy = rhythm(region, minute) * (_RETRIES if _is_out(region, minute) else 1)
    count = int(60 * rate * region.share * busy * noise + rest)
    for number in range(count):
        time = minute + random.randrange(MINUTE)
        yield {
            "type": "request",
            "time": time,
            "id": f"demo-{seed}-{minute // MINUTE}-{region.name}-{number}",
            "data": _request(random, time, region),
        }


def _request(random: Random, time: int, region: Region) -> dict[str, Any]:
    page = random.choices(PAGES, _PAGE_SHARES)[0]
    index = random.randrange(len(region.hosts))
    version = _version(time, index)
    ms = page.ms * random.lognormvariate(0, 0.45) * (0.8 + 0.25 * rhythm(region, time))
    if version == SLOW and page.uses_database:
        ms *= random.uniform(2.5, 4.5)
    status, ms = _outcome(random, page, ms, _is_out(region, time))
    failed = status >= 400
    return {
        "method": page.method,
        "path": page.path,
        "status": status,
        "duration_ms": round(ms, 1),
        "bytes": 0 if status == 304 else int((400 if failed else page.size) * random.uniform(0.7, 1.4)),
        "host": region.hosts[index],
        "region": region.name,
        "version": version,
        "user": f"u{int(_USERS * random.random() ** 2):04d}",
        "agent": random.choices(_AGENT_NAMES, _AGENT_SHARES)[0],
    }


def _outcome(random: Random, page: Page, ms: float, is_out: bool) -> tuple[int, float]:
    """Return the status of a request, and how long it takes with that."""
    luck = random.random()
    if is_out and page.uses_database and luck < 0.85:
        if luck < 0.55:
            return 500, ms * 0.3  # no connection to be had
        return 503, 5_000 + random.uniform(0, 120)  # given up after a wait
    if luck > 0.9985:
        return 500, ms
    if luck > 0.988:
        return 404, ms * 0.5
    if not page.uses_database and luck < 0.3:
        return 304, ms * 0.5
    return page.status, ms


def _version(time: int, index: int) -> str:
    since = DEPLOY.since(time)
    return SLOW if since is not None and since >= index * ROLL_OUT_MINUTES else STABLE


def _is_out(region: Region, time: int) -> bool:
    return region.name == OUTAGE_REGION and OUTAGE.since(time) is not None


def _deploys(seed: int, minute: int) -> Iterator[Made]:
    """Yield what a day's deploy and its rollback say of themselves."""
    told = ((DEPLOY.start, "deploy", SLOW), (DEPLOY.stop, "rollback", STABLE))
    for begin, action, version in told:
        if minute % DAY == begin * MINUTE:
            yield {
                "type": "deploy",
                "time": minute,
                "id": f"demo-{seed}-{minute // MINUTE}-{action}",
                "data": {"action": action, "version": version, "by": "ana"},
            }
