"""What the doctor finds in what a daemon tells."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from cube.cli.checkup import Level, check_clock, check_status, check_types, is_loopback
from cube.model import instant

NOW = instant.parse("2026-11-29T12:00Z")
OWN = version("cube-events")
DAEMON: dict[str, Any] = {"kind": "collector", "live": True, "host": "a", "pid": 7, "versions": {"cube": OWN}}
SPOOL = {"away": False, "events": 0, "bytes": 0, "oldest": None, "quarantined": 0}


@pytest.mark.parametrize(
    ("told", "level", "found"),
    [
        (NOW + 4_000, Level.OK, "agree"),
        (NOW + 60_000, Level.WARNING, "60 s ahead of"),
        (NOW - 3_600_000, Level.WARNING, "3,600 s behind"),
    ],
)
def test_clocks_are_compared(told: int, level: Level, found: str) -> None:
    (finding,) = check_clock(told, NOW - 100, NOW + 100)
    assert (finding.level, found in finding.found) == (level, True)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    (finding,) = check_clock(NOW, NOW, NOW + 20_000)
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("change", "about", "level"),
    [
        ({}, None, None),
        ({"live": False}, "collector", Level.WARNING),
        ({"versions": {"cube": "0.0.1"}}, "versions", Level.WARNING),
        ({"spool": SPOOL}, None, None),
        ({"spool": {**SPOOL, "away": True, "events": 5}}, "spool", Level.FAULT),
        ({"spool": {**SPOOL, "quarantined": 2}}, "spool", Level.WARNING),
    ],
)
def test_what_daemons_tell_of_themselves_is_heeded(
    change: dict[str, Any], about: str | None, level: Level | None
) -> None:
    found = list(check_status({"daemons": [{**DAEMON, **change}], "refusals": []}))
    assert [(each.about, each.level) for each in found] == ([] if about is None else [(about, level)])
    assert all(each.remedy for each in found)


def test_refusals_and_events_of_the_future_are_told() -> None:
    refusal = {"reason": "too_old", "events": 3, "last": "…", "examples": [{"message": "Got an old one."}]}
    (refused,) = check_status({"daemons": [], "refusals": [refusal]})
    assert refused.found == "3 events were refused, too_old: Got an old one."
    types = [{"type": "a", "events": 2, "last": "2026-11-29T13:00:00.000Z"}, {"type": "b"}]
    counted, ahead = check_types(types, NOW)
    assert counted.found == "2 types; 2 events in the last hour"
    assert ahead.found == "the newest of a is of 2026-11-29T13:00:00.000Z, which is to come"


def test_addresses_of_this_machine_alone() -> None:
    urls = [
        "http://127.0.0.1:1080",
        "http://[::1]:1",
        "http://localhost:1",
        "http://10.0.0.1:1",
        "http://cube.example",
    ]
    assert [is_loopback(url) for url in urls] == [True, True, True, False, False]
