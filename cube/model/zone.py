"""Time zones: what the clocks of a place show at an instant, and when they first show a time.

The zones are IANA's, by name (``Europe/Berlin``), as `zoneinfo` has them: of the system, else of the package
tzdata. What clocks show is a *wall time*: milliseconds since 1970-01-01T00:00 on these clocks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cube.errors import InvalidRequest, shown
from cube.model import instant

DAY: Final = 86_400_000

_APART: Final = 3 * DAY  # no zone has been set twice within so long
_BLOCK: Final = 171 * _APART
_RULES_FROM: Final = -5_364_662_400_000  # 1800: no zone has a rule that is older
_SETTLED: Final = 8 * DAY  # no zone has set its clocks back by more than a day
_FIRST, _LAST = instant.EARLIEST + 2 * DAY, instant.LATEST - 2 * DAY
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,2}", re.ASCII)
_NOT_ZONES = ("right/", "posix/")  # other forms of the same data, with leap seconds and without


class Regime(NamedTuple):
    """From an instant on the clocks show it plus so many milliseconds."""

    start: int
    offset: int


@dataclass(frozen=True, slots=True)
class Zone:
    """One time zone, by its name; ``Zone.of`` checks that."""

    name: str

    @classmethod
    def of(cls, name: str) -> Zone:
        """Return a zone that there is; raises `InvalidRequest`."""
        try:
            if not _NAME.fullmatch(name) or name.startswith(_NOT_ZONES):
                raise ZoneInfoNotFoundError
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidRequest(
                f"Got the time zone {shown(name)}; accepted are IANA's names, such as Europe/Berlin or UTC."
            ) from None
        return cls(name)

    def offset(self, time: int) -> int:
        """Return how far the clocks are ahead of UTC at an instant, in milliseconds."""
        return _offset(ZoneInfo(self.name), time)

    def regimes(self, start: int, stop: int) -> list[Regime]:
        """Return what is in force from `start` to `stop`, and for some days before."""
        first = start - _SETTLED
        if self == UTC_ZONE:
            return [Regime(first, 0)]
        found = [Regime(first, self.offset(first))]
        for block in range(max(first, _RULES_FROM) // _BLOCK, stop // _BLOCK + 1):
            found += [each for each in _changes(self.name, block) if first < each.start < stop]
        return found

    def first_shown(self, walls: Iterable[int], start: int, stop: int) -> Iterator[int]:
        """Yield for each wall time, ascending, the first instant at which the clocks show it or a later one.

        All of these instants lie between `start` and `stop`. One that the clocks skip is first shown, as a
        later one, when they are set forward; one that they show twice, the first time.
        """
        regimes = self.regimes(start, stop)
        reached = _reached(regimes)
        for wall in walls:
            regime = regimes[bisect_right(reached, wall)]
            yield max(regime.start, wall - regime.offset)

    def moved_back(self, times: Sequence[int], length: int) -> list[int]:
        """Return when the clocks first showed what they show at ascending instants, less a length.

        What they show a second time counts as the latest time that they have shown by then: so the results
        ascend, and neighbouring intervals stay neighbours. What they skipped is when they were set forward.
        """
        if not times:
            return []
        regimes = self.regimes(times[0], times[-1] + 1)
        starts, reached = [each.start for each in regimes], _reached(regimes)
        walls: list[int] = []
        for time in times:
            place = bisect_right(starts, time) - 1
            wall = time + regimes[place].offset
            walls.append((max(wall, reached[place - 1]) if place else wall) - length)
        clear = length + 3 * DAY
        return list(self.first_shown(walls, times[0] - clear, times[-1] - length + 3 * DAY))

    def set_back(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield when the clocks are set back: the instant, and the wall times after and before that."""
        for before, after in pairwise(self.regimes(start, stop)):
            if after.offset < before.offset:
                yield after.start, after.start + after.offset, after.start + before.offset


UTC_ZONE: Final = Zone("UTC")


def _reached(regimes: list[Regime]) -> list[int]:
    """Return the latest wall time that has been reached by the end of each regime but the last."""
    reached: list[int] = []
    latest = None
    for regime, after in pairwise(regimes):
        wall = after.start + regime.offset
        latest = wall if latest is None else max(latest, wall)
        reached.append(latest)
    return reached


@lru_cache(maxsize=4_096)
def _changes(name: str, block: int) -> tuple[Regime, ...]:
    """Return when the offset changes within a block of days, looked at some days apart."""
    zone, start = ZoneInfo(name), block * _BLOCK
    changes: list[Regime] = []
    before = _offset(zone, start - 1)
    for low in range(start - 1, start + _BLOCK - 1, _APART):
        high = min(low + _APART, start + _BLOCK - 1)
        after = _offset(zone, high)
        if after != before:
            changes.append(_change(zone, low, high, after))
        before = after
    return tuple(changes)


def _change(zone: ZoneInfo, low: int, high: int, offset: int) -> Regime:
    """Return when, after `low` and not after `high`, an offset comes into force."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            high = middle
        else:
            low = middle
    return Regime(high, offset)


def _offset(zone: ZoneInfo, time: int) -> int:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=min(max(time, _FIRST), _LAST))
    offset = moment.astimezone(zone).utcoffset()
    return 0 if offset is None else offset // timedelta(milliseconds=1)
