"""One client of a stream: order, doubt, and the end of patience."""

from __future__ import annotations

import pytest

from cube.errors import Overloaded
from cube.expression import parse_event
from cube.store.find import Found
from cube.tier import TEN_SECONDS
from evaluator.follower import WAITING_EVENTS, Follower
from evaluator.query import EventQuery
from evaluator.window import Arrival, Window


def follower(**given: int) -> Follower:
    asked = {"start": 0, "limit": 10, "delay": 5_000, "late": 60_000, **given}
    return Follower(EventQuery(parse_event("test(v)"), stop=None, **asked))


def arrival(time: int, digest: int, data: object = None) -> Arrival:
    return Arrival(time, f"id {digest}", data, digest)


def holding(*arrivals: Arrival) -> Window:
    window = Window()
    buckets = {TEN_SECONDS.floor(each.time): 1 for each in arrivals}
    assert window.take(buckets, buckets, arrivals) == list(arrivals)
    return window


async def test_what_was_given_first_does_not_come_again() -> None:
    client, given, new = follower(), arrival(90_000, 1, "x"), arrival(90_001, 2)
    client.begin([Found(*given[:3])], [], now=100_000)
    client.offer([given, new])
    client.advance(100_000, holding(given, new))
    assert await client.batch() == [Found(*given[:3]), Found(*new[:3])]


async def test_an_event_that_waited_before_its_bucket_was_read_comes_once() -> None:
    client, early = follower(delay=0), arrival(100_000, 1)
    client.begin([], [early], now=100_000)
    client.advance(100_010, Window())
    client.offer([early])
    client.advance(100_020, holding(early))
    assert await client.batch() == [Found(*early[:3])]


async def test_a_client_that_reads_too_slowly_is_let_go() -> None:
    client = follower()
    client.begin([], [], now=100_000)
    flood = [arrival(90_000 + number % 1000, number) for number in range(WAITING_EVENTS + 11)]
    client.offer(flood)
    client.advance(100_000, holding(*flood))
    with pytest.raises(Overloaded, match="too slowly"):
        await client.batch()
