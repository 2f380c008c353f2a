"""What `cube demo` makes up: the same from the same seed, with a rhythm, a slow deploy and an outage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from statistics import median

from click.testing import CliRunner

from cube.cli.demo import Course
from cube.cli.demo_traffic import (
    DAY,
    DEPLOY,
    MINUTE,
    OUTAGE,
    OUTAGE_REGION,
    SLOW,
    DayWindow,
    Made,
    traffic,
)
from cube.cli.main import main
from cube.model.event import Event

MIDNIGHT = 20_000 * DAY


def made(start: int, stop: int, rate: float = 2.0, seed: int = 1) -> list[Made]:
    return list(takewhile(lambda event: event["time"] < stop, traffic(seed, start, lambda _: rate)))


def requests(window: DayWindow) -> list[dict[str, object]]:
    start, stop = (MIDNIGHT + minute * MINUTE for minute in (window.start, window.stop))
    return [event["data"] for event in made(start, stop) if event["type"] == "request"]


def durations(found: Iterable[dict[str, object]], path: str = "/search") -> Sequence[float]:
    return [float(str(one["duration_ms"])) for one in found if one["path"] == path]


def test_the_same_seed_makes_the_same_and_another_seed_does_not() -> None:
    start, stop = MIDNIGHT, MIDNIGHT + 10 * MINUTE
    assert made(start, stop) == made(start, stop)
    assert made(start, stop) != made(start, stop, seed=2)


def test_a_higher_rate_and_another_start_change_no_event() -> None:
    start, stop = MIDNIGHT, MIDNIGHT + 10 * MINUTE
    by_id = {event["id"]: event for event in made(start, stop, rate=5)}
    slower = made(start, stop, rate=2)
    assert len(by_id) > len(slower) > 100
    assert all(by_id[event["id"]] == event for event in slower)
    later = made(start + 90_500, stop)
    assert later == [event for event in slower if event["time"] >= start + 90_500]


def test_events_come_in_order_and_are_events_with_ids_of_their_own() -> None:
    events = made(MIDNIGHT, MIDNIGHT + 5 * MINUTE)
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert len({event["id"] for event in events}) == len(events)
    assert {Event.parse(event, now=MIDNIGHT).type for event in events} == {"request"}


def test_a_day_has_the_rate_in_its_mean_and_a_rhythm() -> None:
    hours = [len(made(MIDNIGHT + hour * 60 * MINUTE, MIDNIGHT + hour * 60 * MINUTE + 5 * MINUTE))
             for hour in range(24)]  # fmt: skip
    assert 0.9 < sum(hours) / (24 * 300 * 2) < 1.1
    assert max(hours) > 2 * min(hours)


def test_the_deploy_is_slow_and_says_when_it_begins_and_ends() -> None:
    slow = [one for one in requests(DEPLOY) if one["version"] == SLOW]
    before = requests(DayWindow(DEPLOY.start - 30, DEPLOY.start))
    assert not any(one["version"] == SLOW for one in before)
    assert median(durations(slow)) > 2 * median(durations(before))
    day = made(MIDNIGHT + DEPLOY.start * MINUTE, MIDNIGHT + (DEPLOY.stop + 1) * MINUTE)
    assert [event["data"]["action"] for event in day if event["type"] == "deploy"] == ["deploy", "rollback"]


def test_the_outage_fails_most_requests_of_its_region_and_no_more_elsewhere() -> None:
    found = requests(OUTAGE)
    failed = [one for one in found if int(str(one["status"])) >= 500]
    there = [one for one in found if one["region"] == OUTAGE_REGION]
    assert len([one for one in failed if one["region"] == OUTAGE_REGION]) > len(there) / 2
    assert len(failed) - len([one for one in failed if one["region"] == OUTAGE_REGION]) < len(found) / 50


def test_the_past_is_at_its_own_rate_and_live_events_follow_without_a_break() -> None:
    now = MIDNIGHT + 600 * MINUTE + 12_345
    past = list(Course(hours=0.5, rate=20, seed=1, live=False).events(now))
    assert past[0]["time"] >= now - 30 * MINUTE
    assert now - 10_000 < past[-1]["time"] < now
    live = takewhile(lambda event: event["time"] < now + MINUTE, Course(0.5, 20, 1, live=True).events(now))
    assert list(live)[: len(past)] == past


def test_a_directory_without_cubism_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--url", "http://127.0.0.1:1", "--cubism", str(tmp_path)])
    assert result.exit_code == 2
    assert "npm install cubism@1.6.0 d3@3" in result.stderr
    assert "is started" not in result.output
