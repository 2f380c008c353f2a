"""What processes tell of themselves: counted within bounds, and put together whatever their clocks say."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from collector.ingest.redaction import REMOVED, Redaction
from collector.ingest.tally import EXAMPLES, IntakeTally
from cube.errors import InvalidEvent, Unavailable
from cube.model.environment import Key, Scope, make_key
from cube.process.recent_counts import BUCKETS, MOST_NAMES, OTHER, STEP_MS, TOLD_NAMES, RecentCounts
from cube.store.record_ports import StoredReport
from cube.store.sqlite import open_store
from cube.store.status import FORMAT
from evaluator.api.reports import GRACE_MS, PERIODS, SHOWN, Viewer, summary
from evaluator.context import KEPT_MS, SLOWEST, Question, QuestionLog
from tests.evaluator_running import Clock

NOW = 1_700_000_000_000


def counts(clock: Clock, *added: tuple[str, int]) -> RecentCounts:
    made = RecentCounts(clock)
    for name, count in added:
        made.add(name, count)
    return made


def test_counts_fall_into_the_bucket_of_their_time_and_old_ones_are_forgotten() -> None:
    clock = Clock(NOW)
    made = counts(clock, ("a", 2), ("b", 1))
    clock.now += 2 * STEP_MS
    made.add("a", 5)
    assert made.told()["names"]["a"][-3:] == [2, 0, 5]
    assert made.told()["start"] == NOW - (BUCKETS - 3) * STEP_MS
    clock.now += (BUCKETS - 1) * STEP_MS
    assert made.told()["names"] == {"a": [5, *[0] * (BUCKETS - 1)]}
    assert made.total == 8
    clock.now -= 5 * BUCKETS * STEP_MS
    made.add("a", 1)
    assert made.told()["names"] == {"a": [*[0] * (BUCKETS - 1), 1]}


def test_names_are_bounded_and_none_of_the_count_is_lost() -> None:
    made = counts(Clock(NOW), *((f"t{number}", number) for number in range(3 * MOST_NAMES)))
    told = made.told()["names"]
    assert len(told) == TOLD_NAMES + 1
    assert sum(map(sum, told.values())) == made.total == sum(range(3 * MOST_NAMES))
    assert told[OTHER][-1] > 0


def test_refusals_keep_the_latest_examples_of_each_reason_without_keys() -> None:
    clock, secret = Clock(NOW), make_key()
    tally = IntakeTally(clock, Redaction(is_key="key-of-ours".__eq__).text)
    for number in range(2 * EXAMPLES):
        clock.now = NOW + number
        tally.refused("invalid", 3, f"Got {number} and {secret}.", "a")
    tally.refused("denied", 1, "Got key-of-ours, password=hunter2.")
    tally.refused("invalid", 1, f"Got {2 * EXAMPLES - 2} and {secret}.", "a")
    told = tally.told()["refusals"]
    assert (told["invalid"]["events"], told["invalid"]["last"]) == (6 * EXAMPLES + 1, clock.now)
    assert [each["message"] for each in told["invalid"]["examples"][:2]] == [
        f"Got {2 * EXAMPLES - 2} and {REMOVED}.",
        f"Got {2 * EXAMPLES - 1} and {REMOVED}.",
    ]
    assert (len(told["invalid"]["examples"]), told["invalid"]["examples"][0]["events"]) == (EXAMPLES, 4)
    (denied,) = told["denied"]["examples"]
    assert (denied["type"], denied["message"]) == (None, f"Got {REMOVED}, password={REMOVED}")


def test_what_could_not_be_stored_is_told_with_its_reason() -> None:
    tally = IntakeTally(Clock(NOW), str)
    tally.failed(Unavailable("The store is away."), 2, "a")
    tally.failed(InvalidEvent("The event has expired."), 1, "a")
    tally.failed(ZeroDivisionError("internal"), 1, "a")
    told = tally.told()["refusals"]
    assert {reason: each["events"] for reason, each in told.items()} == {
        "unavailable": 2,
        "store": 1,
        "fault": 1,
    }
    assert "internal" not in json.dumps(told)


def question(number: int = 0, key: Key | None = None) -> Question:
    return Question("metric", f"sum(a(n{number}))", NOW, NOW + 60_000, 10_000, key)


def test_the_slowest_questions_of_the_last_hour_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seconds = Clock(NOW), iter(range(10**6))
    log = QuestionLog(clock)
    took = [*range(2 * SLOWEST), 0]

    def ticks() -> Any:
        for each in took:
            start = 1000.0 * next(seconds)
            yield start
            yield start + each

    readings = ticks()
    monkeypatch.setattr("evaluator.context.time.perf_counter", lambda: next(readings))
    for number in range(2 * SLOWEST):
        with log.timed(question(number)):
            clock.now += 1
    slow = log.told()["slow"]
    assert [each["seconds"] for each in slow] == [*range(2 * SLOWEST - 1, SLOWEST - 1, -1)]
    clock.now += KEPT_MS
    with log.timed(question(99)):
        pass
    assert [each["expression"] for each in log.told()["slow"]] == [
        f"sum(a(n{2 * SLOWEST - 1}))",
        "sum(a(n99))",
    ]
    assert log.told()["asked"]["names"]["metric"][-1] == 1
    assert log.asked["metric"] == 2 * SLOWEST + 1


def test_a_question_that_was_given_up_or_failed_says_so() -> None:
    log = QuestionLog(Clock(NOW))
    for error in (asyncio.CancelledError(), Unavailable("The store is away."), ZeroDivisionError("internal")):
        with suppress(BaseException), log.timed(question()):
            raise error
    told = {each["error"] for each in log.told()["slow"]}
    assert told == {
        "The client went away.",
        "The store is away.",
        "A fault of the evaluator (ZeroDivisionError), which its log has.",
    }


def report(process: str, age_ms: int = 100, clock: int = NOW, **told: Any) -> StoredReport:
    content = {
        "format": FORMAT,
        "kind": "collector",
        "started": clock - 60_000,
        "now": clock - age_ms,
        "period_seconds": 5.0,
        "host": "web1",
        "pid": 7,
        "addresses": {},
        "memory_bytes": 1,
        "cpu": 0.5,
        "versions": {},
        "waiting": {},
        **told,
    }
    return StoredReport(process, age_ms, json.dumps(content))


def arrivals(clock: int, **by_type: int) -> dict[str, Any]:
    """Return counts as a process with such a clock tells them: so many of each type 20 s ago."""
    standing = Clock(clock - 20_000)
    made = counts(standing, *by_type.items())
    standing.now = clock
    return made.told()


SKEW = 7 * 3_600_000


def test_a_process_with_a_wrong_clock_lives_and_counts_in_the_right_minute() -> None:
    made = summary(
        [
            report("right", arrivals=arrivals(NOW, a=2, b=1)),
            report("wrong", clock=NOW + SKEW, arrivals=arrivals(NOW + SKEW, a=3)),
        ],
        Viewer(),
        NOW + 3,
    )
    assert [daemon["live"] for daemon in made["daemons"]] == [True, True]
    a, b = made["types"]
    assert (a["type"], b["type"], sum(a["counts"]), sum(b["counts"])) == ("a", "b", 5, 1)
    assert [place for place, count in enumerate(a["counts"]) if count] == [SHOWN - 1]
    assert (len(a["counts"]), a["rate"]) == (SHOWN, round(5 / 30, 3))


@pytest.mark.parametrize(
    ("age_ms", "is_live"),
    [(0, True), (PERIODS * 5_000 + GRACE_MS, True), (PERIODS * 5_000 + GRACE_MS + 1, False)],
)
def test_a_process_lives_until_it_has_been_silent_for_some_periods(age_ms: int, is_live: bool) -> None:
    made = summary([report("a", age_ms), report("b")], Viewer(), NOW)
    assert {daemon["process"]: daemon["live"] for daemon in made["daemons"]} == {"a": is_live, "b": True}


def test_reports_of_another_format_are_left_out() -> None:
    others = [StoredReport("a", 0, '{"format": 99}'), StoredReport("b", 0, "{"), StoredReport("c", 0, "[]")]
    assert [each["process"] for each in summary([*others, report("d")], Viewer(), NOW)["daemons"]] == ["d"]


async def test_what_is_no_report_where_processes_tell_of_themselves_hides_none(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "x")
    try:
        await store.reports.put("a", report("a").content)
        folder = tmp_path / "x.daemons"
        (folder / "damaged.json").write_bytes(b"\xff{")
        (folder / "directory.json").mkdir()
        os.utime(folder / "directory.json", (0, 0))
        found = await store.reports.all()
    finally:
        await store.close()
    assert [each["process"] for each in summary(found, Viewer(), NOW)["daemons"]] == ["a"]


def refusal(*examples: tuple[str | None, str]) -> dict[str, Any]:
    told = [{"type": type, "message": text, "events": 2, "last": NOW} for type, text in examples]
    return {"events": 2 * len(told), "last": NOW, "examples": told}


def test_refusals_and_questions_of_all_are_put_together() -> None:
    slow = [{**told, "seconds": 1.0} for told in slow_of(question(1))]
    slower = [{**told, "seconds": 2.0} for told in slow_of(question(2))]
    made = summary(
        [
            report("a", refusals={"invalid": refusal(("a", "one"))}, slow=slow),
            report("b", refusals={"invalid": refusal(("b", "two"), (None, "three"))}, slow=slower),
        ],
        Viewer(),
        NOW,
    )
    (refused,) = made["refusals"]
    assert (refused["events"], len(refused["examples"])) == (6, 3)
    assert [each["expression"] for each in made["slow"]] == ["sum(a(n2))", "sum(a(n1))"]


def slow_of(*asked: Question) -> list[dict[str, Any]]:
    log = QuestionLog(Clock(NOW))
    for each in asked:
        with log.timed(each):
            pass
    slow: list[dict[str, Any]] = log.told()["slow"]
    return slow


def key(types: frozenset[str] | None = None, filter: str = "", name: str = "acme") -> Key:
    return Key(name, b"", "default", frozenset({Scope.READ}), types, filter)


def seen(viewed_by: Key | None) -> dict[str, Any]:
    told = report(
        "a",
        arrivals=arrivals(NOW, mine=1, secret=2),
        refusals={
            "invalid": refusal(("mine", "ours"), ("secret", "theirs"), (None, "unknown")),
            "denied": refusal(("mine", "the key accepts secret")),
        },
        slow=slow_of(
            question(1, viewed_by), question(2, key(frozenset({"mine"}), name="other")), question(3)
        ),
    )
    return summary([told], Viewer.of(viewed_by), NOW)


def test_a_restricted_key_sees_its_types_and_its_questions_alone() -> None:
    made = seen(key(frozenset({"mine"})))
    assert [each["type"] for each in made["types"]] == ["mine"]
    (refused,) = made["refusals"]
    assert [each["message"] for each in refused["examples"]] == ["ours"]
    assert refused["events"] == 2
    assert [each["expression"] for each in made["slow"]] == ["sum(a(n1))"]
    assert set(made["daemons"][0]) == {"process", "kind", "live", "age_ms", "started"}
    text = json.dumps(made)
    assert not [word for word in ("secret", "theirs", "unknown", "n2", "n3", "web1") if word in text]


def test_a_key_with_a_filter_sees_no_counts() -> None:
    made = seen(key(frozenset({"mine"}), 'eq(customer, "acme")'))
    assert (made["types"], made["refusals"], made["restricted"]) == ([], [], True)
    assert [each["expression"] for each in made["slow"]] == ["sum(a(n1))"]


def test_a_key_that_has_the_name_of_another_sees_none_of_its_questions() -> None:
    before = [key(), key(frozenset({"a", "b"})), key(frozenset({"a"}), 'eq(customer, "other")')]
    told = report("a", slow=slow_of(*(question(number, one) for number, one in enumerate(before))))
    assert summary([told], Viewer.of(key(frozenset({"a"}))), NOW)["slow"] == []
    assert "restriction" not in summary([told], Viewer(), NOW)["slow"][0]


@pytest.mark.parametrize("viewed_by", [None, key()])
def test_who_may_read_all_sees_all(viewed_by: Key | None) -> None:
    made = seen(viewed_by)
    assert [each["type"] for each in made["types"]] == ["secret", "mine"]
    assert {each["reason"] for each in made["refusals"]} == {"invalid", "denied"}
    assert (len(made["slow"]), made["restricted"], made["daemons"][0]["host"]) == (3, False, "web1")
