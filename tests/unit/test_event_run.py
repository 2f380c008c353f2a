"""Runs of events: sequences of them, whose data stay text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import msgspec
import pytest

from cube.model import made_id
from cube.model.event import Event
from cube.model.event_run import EventRun, EventRuns, joined, parts_of, times_of, type_of
from cube.model.made_id import make_consecutive_ids, make_id

T0 = 1_311_033_600_000


def run(size: int = 3, time: int = T0) -> EventRun:
    data = msgspec.json.encode([{"n": number} for number in range(size)])
    return EventRun("a", [time + number for number in range(size)], make_consecutive_ids(size), data)


def events(some: EventRun) -> list[Event]:
    return [
        Event("a", time, id, {"n": n})
        for n, (time, id) in enumerate(zip(some.times, some.ids(), strict=True))
    ]


def test_a_run_is_a_sequence_of_its_events() -> None:
    some = run()

    assert list(some) == events(some)
    assert [some[place] for place in (0, -1)] == [events(some)[0], events(some)[2]]
    assert some[1:] == events(some)[1:]
    assert some.edges == (some.ids()[0], some.ids()[-1])
    assert run(2, T0 + 1_999).second == T0 + 1_000


def test_runs_and_other_events_are_one_sequence() -> None:
    first, last = run(2), run(3, T0 + 1_000)
    lone = [Event("a", T0, "id", 1)]
    together = joined([EventRuns("a", [first, lone]), last])
    expected = [*events(first), *lone, *events(last)]

    assert isinstance(together, EventRuns)
    assert parts_of(together) == [first, lone, last]
    assert list(together) == expected
    assert [together[place] for place in range(-6, 6)] == expected * 2
    assert together[1:3] == expected[1:3]
    assert (len(together), type_of(together)) == (6, "a")
    assert times_of(together) == [event.time for event in expected]
    with pytest.raises(IndexError):
        together[6]


def test_events_without_a_run_are_joined_to_a_list() -> None:
    one, other = ([Event("a", T0, id)] for id in (1, 2))

    assert joined([one]) is one
    assert joined([one, other]) == [*one, *other]
    assert type_of(one) is None


@pytest.mark.parametrize("before", [2**24 - 1, 2**24 - 2, 2**25 - 10])
def test_consecutive_ids_do_not_go_over_the_end_of_the_counter(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    process, _ = made_id._id_source()
    numbers = count(before)
    monkeypatch.setattr(made_id, "_id_source", lambda: (process, numbers))

    ids = [id for _ in range(3) for id in EventRun("a", [T0] * 10, make_consecutive_ids(10), b"[]").ids()]

    assert len(set(ids)) == 30
    assert all(len(id) == made_id.MADE_ID_BYTES for id in ids)


def test_threads_share_no_ids() -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: run(50), range(200)))
        lone = list(pool.map(lambda _: make_id(), range(200)))

    assert len({id for some in runs for id in some.ids()} | set(lone)) == 200 * 50 + 200
