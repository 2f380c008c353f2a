"""Reports of many processes, put together for one caller: what lives, what comes, what is refused and slow.

Each process tells times by its own clock. The store says how old a report is, so that a clock which is
wrong neither kills a process nor moves its counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cube.model import instant
from cube.model.environment import Key
from cube.process.recent_counts import BUCKETS, OTHER, STEP_MS
from cube.store.record_ports import StoredReport
from cube.store.status import FORMAT
from evaluator.context import SLOWEST

PERIODS: Final = 3
"""A process that has told nothing for so many of its periods, and `GRACE_MS`, counts as dead."""

GRACE_MS: Final = 2_000

SHOWN: Final = BUCKETS - 1
"""Whole buckets of counts that are told."""

RATE_BUCKETS: Final = 3
"""A rate is the mean of so many of the latest."""

_OF_PROCESS = ("host", "pid", "addresses", "memory_bytes", "cpu", "versions", "waiting")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and may see the counts and refusals of ``types`` and the questions of a ``key``; None: all.

    ``restriction``: of the key, for another may have had its name, and have shown more.
    ``whole``: whether more may be seen of processes than that they live.
    """

    types: frozenset[str] | None = None
    key: str | None = None
    restriction: str = ""
    whole: bool = True

    @classmethod
    def of(cls, key: Key | None) -> Viewer:
        """Return what the holder of a key may see: with a filter no counts, which are of all events."""
        if key is None or (key.types is None and not key.filter):
            return cls()
        return cls(frozenset() if key.filter else key.types, key.id, key.restriction_digest, whole=False)

    def sees_question(self, question: Mapping[str, Any]) -> bool:
        """Tell whether a question may be seen: one that was asked with this key, or any."""
        own = (self.key, self.restriction)
        return self.key is None or (question["key"], question.get("restriction")) == own

    def sees(self, type: str | None) -> bool:
        """Tell whether what is of a type may be seen; None: of no known one."""
        return self.types is None or type in self.types


@dataclass(frozen=True, slots=True)
class _Report:
    """One report, read; ``ahead``: so much later is a moment by the reader's clock than by the process's."""

    process: str
    age_ms: int
    ahead: int
    told: Mapping[str, Any]

    @property
    def is_live(self) -> bool:
        return bool(self.age_ms <= PERIODS * self.told["period_seconds"] * 1000 + GRACE_MS)

    def time(self, moment: int) -> str:
        return instant.format(moment + self.ahead)


def summary(stored: Iterable[StoredReport], viewer: Viewer, now: int) -> dict[str, Any]:
    """Return all that a caller may know at a moment, as ``GET /1.0/status`` answers it."""
    reports = [report for each in stored if (report := _read(each, now)) is not None]
    periods = [report.told["period_seconds"] * 1000 for report in reports if report.is_live]
    stop = (now - round(max(periods, default=0))) // STEP_MS * STEP_MS
    arrivals = {
        type: counts for type, counts in _counts(reports, "arrivals", stop).items() if viewer.sees(type)
    }
    asked = _counts(reports, "asked", stop) if viewer.whole else {}
    buckets = _counts(reports, "buckets", stop) if viewer.whole else {}
    reports.sort(key=lambda report: (not report.is_live, report.told["kind"], report.told["started"]))
    return {
        "time": instant.format(now),
        "start": instant.format(stop - SHOWN * STEP_MS),
        "step": STEP_MS,
        "restricted": not viewer.whole,
        "daemons": [_daemon(report, viewer, stop) for report in reports],
        "types": _types(arrivals),
        "refusals": _refusals(reports, viewer),
        "questions": {kind: _rated(asked.get(kind, [0] * SHOWN)) for kind in ("metric", "event")},
        "slow": _slow(reports, viewer),
        "cache": {name: sum(buckets.get(name, ())) for name in ("hit", "miss")},
    }


def _read(stored: StoredReport, now: int) -> _Report | None:
    """Read a report; None for one that another Cube has written otherwise, or something else."""
    try:
        told = msgspec.json.decode(stored.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        return None
    if told.get("format") != FORMAT:
        return None
    return _Report(stored.process, stored.age_ms, now - stored.age_ms - told["now"], told)


def _counts(reports: Sequence[_Report], what: str, stop: int) -> dict[str, list[int]]:
    """Add up the counts of all processes, by name, in the `SHOWN` buckets before ``stop``.

    What was counted since then alone is there, too, with zeros: it is to be seen at once.
    """
    total: dict[str, list[int]] = {}
    for report in reports:
        told = report.told.get(what)
        if told is None or told["step"] != STEP_MS:
            continue
        # Rounded: a report is some milliseconds older than its clock says.
        first = round((told["start"] + report.ahead - stop) / STEP_MS) + SHOWN
        for name, counts in told["names"].items():
            recent = counts[max(0, -first) :]
            if not any(recent):
                continue
            sums = total.setdefault(name, [0] * SHOWN)
            for place, count in enumerate(recent, max(0, first)):
                if place < SHOWN:
                    sums[place] += count
    return total


def _types(arrivals: Mapping[str, list[int]]) -> list[dict[str, Any]]:
    """Return the types, those of which most came first; what is counted under no name is last."""
    order = sorted(arrivals, key=lambda type: (type == OTHER, -sum(arrivals[type]), type))
    return [{"type": None if type == OTHER else type, **_rated(arrivals[type])} for type in order]


def _rated(counts: list[int]) -> dict[str, Any]:
    latest = sum(counts[-RATE_BUCKETS:])
    return {"rate": round(latest * 1000 / (RATE_BUCKETS * STEP_MS), 3), "counts": counts}


def _daemon(report: _Report, viewer: Viewer, stop: int) -> dict[str, Any]:
    told = report.told
    daemon = {
        "process": report.process,
        "kind": told["kind"],
        "live": report.is_live,
        "age_ms": report.age_ms,
        "started": report.time(told["started"]),
    }
    if not viewer.whole:
        return daemon
    work = _counts([report], "arrivals" if "arrivals" in told else "asked", stop).values()
    counts = [sum(each) for each in zip(*work, strict=True)] or [0] * SHOWN
    daemon |= {name: told[name] for name in _OF_PROCESS} | _rated(counts)
    if told.get("spool") is not None:
        oldest = told["spool"]["oldest"]
        daemon["spool"] = {**told["spool"], "oldest": None if oldest is None else report.time(oldest)}
    if "kept_bytes" in told:
        daemon["kept_bytes"] = told["kept_bytes"]
    return daemon


def _refusals(reports: Sequence[_Report], viewer: Viewer) -> list[dict[str, Any]]:
    """Add up refusals by reason, the latest first; of a viewer's types alone those whose type is known."""
    found: dict[str, dict[str, Any]] = {}
    for report in reports:
        for reason, told in report.told.get("refusals", {}).items():
            # What a key may not do names what it may: that is nothing for others.
            examples = [
                {**each, "last": report.time(each["last"])}
                for each in told["examples"]
                if viewer.sees(each["type"]) and (viewer.whole or reason != "denied")
            ]
            if viewer.types is not None and not examples:
                continue
            entry = found.setdefault(reason, {"reason": reason, "events": 0, "last": "", "examples": []})
            entry["events"] += (
                told["events"] if viewer.types is None else sum(each["events"] for each in examples)
            )
            entry["last"] = max(entry["last"], *(each["last"] for each in examples))
            entry["examples"] += examples
    for entry in found.values():
        entry["examples"].sort(key=lambda each: each["last"], reverse=True)
        del entry["examples"][SLOWEST:]
    return sorted(found.values(), key=lambda entry: entry["last"], reverse=True)


def _slow(reports: Sequence[_Report], viewer: Viewer) -> list[dict[str, Any]]:
    slow = [
        {
            **{name: value for name, value in each.items() if name != "restriction"},
            "start": instant.format(each["start"]),
            "stop": instant.format(each["stop"]),
            "time": report.time(each["time"]),
        }
        for report in reports
        for each in report.told.get("slow", ())
        if viewer.sees_question(each)
    ]
    return sorted(slow, key=lambda each: each["seconds"], reverse=True)[:SLOWEST]
