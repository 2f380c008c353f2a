"""One client of a stream: order, doubt, and the end of patience."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import nullcontext

import pytest

from cube.errors import Overloaded
from cube.expression import parse_event
from cube.model.tier import TEN_SECONDS, Span
from cube.store.find import Found
from cube.store.ports import Revisions
from evaluator.query.queries import EventQuery
from evaluator.streams.changes import Changes, Subscribers
from evaluator.streams.reader import Arrival, StreamReader
from evaluator.streams.subscriber import AHEAD, BEHIND_MS, WAITING_EVENTS, Subscriber
from evaluator.streams.window import Window

NOW = 100_000


def subscriber(*first: Arrival, announced: tuple[int, ...] = (), **given: int) -> Subscriber:
    """One that has begun, at `NOW`."""
    asked = {"start": 0, "limit": 10, "delay": 5_000, "late": 60_000, **given}
    client = Subscriber(EventQuery(parse_event("test(v)"), stop=None, **asked))
    client.set_watermark(NOW)
    client.begin(first, NOW, announced)
    return client


def arrival(time: int, digest: int, id: str | None = None) -> Arrival:
    return Arrival(time, id or f"id {digest}", None, digest)


def found(*arrivals: Arrival) -> list[Found]:
    return [Found(*each[:3]) for each in arrivals]


async def test_what_was_given_first_does_not_come_again() -> None:
    given, new = arrival(90_000, 1), arrival(90_001, 2)
    client = subscriber(given)
    client.offer([given, new])
    client.flush()
    assert await client.batch() == found(given, new)


async def test_what_was_given_first_comes_again_once_it_has_been_another_one() -> None:
    first, second = arrival(90_000, 1, "x"), arrival(90_000, 2, "x")
    client = subscriber(first)
    client.offer([second])
    client.offer([first])
    client.flush()
    assert await client.batch() == found(first, second, first)


async def test_what_is_sure_to_be_announced_is_known_though_an_older_form_of_it_comes_first() -> None:
    stale, first = arrival(80_000, 1, "x"), arrival(90_000, 2, "x")
    client = subscriber(first, announced=(90_000,))
    client.offer([stale])
    client.offer([first])
    client.flush()
    assert await client.batch() == found(first, stale)


async def test_what_is_not_due_is_left_to_its_time() -> None:
    client, early, late = subscriber(), arrival(95_000, 1), arrival(94_999, 2)
    client.offer([early, late])
    client.flush()
    assert await client.batch() == found(late)
    client.deliver([early], 95_001)
    client.flush()
    assert await client.batch() == found(early)


async def test_of_what_is_in_doubt_only_what_the_first_answer_would_have_held_comes() -> None:
    first = [arrival(80_000 + number, number) for number in range(10)]
    client = subscriber(*first)
    before, after = arrival(79_999, 20), arrival(80_005, 21)
    client.offer([before, *first, after], doubtful=True)
    client.flush()
    assert await client.batch() == found(*first, after)


async def test_what_came_while_it_began_is_given_after_its_first() -> None:
    client = Subscriber(EventQuery(parse_event("test"), 0, None, 10, delay=0, late=60_000))
    unseen, first, new = arrival(70_000, 1), arrival(80_000, 2), arrival(70_001, 3)
    client.offer([unseen])  # before it has a watermark: its first answer will hold it
    client.set_watermark(NOW)
    client.offer([first, new])
    client.begin([first], NOW)
    client.flush()
    assert await client.batch() == found(first, new)


async def test_a_client_for_which_too_much_comes_late_is_let_go() -> None:
    client = subscriber()
    client.offer([arrival(90_000 + number % 1000, number) for number in range(WAITING_EVENTS)])
    client.flush()
    client.offer([arrival(80_000, WAITING_EVENTS)])
    client.flush()
    with pytest.raises(Overloaded, match="too slowly"):
        await client.batch()


async def test_a_client_that_does_not_read_falls_behind_and_is_let_go_in_the_end() -> None:
    client = subscriber()
    client.deliver([arrival(95_000, number) for number in range(AHEAD)], 95_001)
    client.flush()
    assert not client.is_ready
    client.end_poll(95_001 + 5_000 + BEHIND_MS, settled=True)
    assert len(await client.batch()) == AHEAD
    assert client.is_ready
    client.deliver([arrival(95_001, number) for number in range(AHEAD)], 95_002)
    client.flush()
    client.end_poll(95_002 + 5_000 + BEHIND_MS + 1, settled=True)
    with pytest.raises(Overloaded, match="too slowly"):
        await client.batch()


async def test_a_client_is_excused_for_what_the_store_was_behind() -> None:
    client, hour = subscriber(), 3_600_000
    client.excuse(NOW + hour)
    client.deliver([arrival(95_000, number) for number in range(AHEAD)], 95_001)
    client.flush()
    client.end_poll(NOW + hour + BEHIND_MS - 1, settled=True)
    assert len(await client.batch()) == AHEAD


def test_a_clock_set_back_moves_no_watermark() -> None:
    client = subscriber()
    assert client.target(NOW - 50_000) == client.watermark
    assert client.watched(NOW - 50_000) == client.watched(NOW)


def test_a_bucket_is_in_the_backlog_until_it_is_recorded_unless_others_watch_it() -> None:
    window, numbers = Window(), {0: 5, 10_000: 6, 20_000: 7}
    window.add_backlog(numbers, [])
    window.add_backlog({0: 8, 30_000: 9, 50_000: 1}, [Span(50_000, 60_000)])
    assert window.backlog(2) == [30_000, 20_000]
    assert window.changed({0: 8, 40_000: 1}) == [40_000]
    assert window.stale({0: 8, 30_000: 9}) == {0}
    stored = [arrival(3, 1), arrival(20_001, 2)]
    window.record_backlog(window.compare([20_000], stored), numbers)
    assert window.backlog(9) == [30_000, 10_000, 0]
    assert window.known([stored[1], arrival(20_002, 3), stored[0]], {0}) == [
        stored[1],
        stored[0],
    ]
    assert window.changed({20_000: 7}) == []
    assert window.changed({20_000: 8}) == [20_000]


class InterruptedReader(StreamReader):
    """While it looks for what is due, the backlog is recorded as it was before its events were stored."""

    def __init__(self, window: Window, *found: Arrival) -> None:
        self.time_slice = nullcontext
        self._window = window
        self._found = found

    async def in_buckets(self, buckets: Iterable[int], numbers: Mapping[int, int]) -> list[Arrival]:
        return [each for each in self._found if TEN_SECONDS.floor(each.time) in set(buckets)]

    async def in_order(
        self, span: Span, *, limit: int | None = None, newest_first: bool = False
    ) -> AsyncGenerator[list[Arrival], None]:
        self._window.record_backlog(self._window.compare([90_000], []), {90_000: 1})
        yield [each for each in self._found if each.time in span]


async def test_what_is_due_comes_in_order_and_once_though_its_bucket_leaves_the_backlog_meanwhile() -> None:
    window, client = Window(), subscriber()
    first, second = arrival(96_000, 1), arrival(100_000, 2)
    window.add_backlog({90_000: 1}, [])
    changes = Changes(window, Subscribers({client}), 1_000_000)
    reader, revisions = InterruptedReader(window, first, second), Revisions({90_000: 2, 100_000: 3}, True)
    await changes.publish(reader, revisions, [client], 106_000)
    assert await client.batch() == found(first, second)
    late = arrival(96_001, 3)
    reader = InterruptedReader(window, first, late, second)
    await changes.publish(reader, revisions, [client], 106_000)
    assert await client.batch() == found(late)
