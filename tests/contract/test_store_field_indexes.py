"""Indexes on fields: made and dropped while events are there, and never a reason to find another event."""

from __future__ import annotations

from typing import Any

import pytest

from cube.columns.definition import matches
from cube.errors import InvalidRequest, NotFound
from cube.expression.nodes import Comparison, EventExpression, Field
from cube.model.event import ABSENT, Event
from cube.model.tier import Span
from cube.store.equality import text_of, wanted_by
from cube.store.find import count
from cube.store.ports import Store

from .builders import T0, WHOLE, event

TEXTS = [
    "x",
    "xy",
    'a "quoted" \\ text',
    "é\n\t\x00",
    "é\n\t",
    "日本",
    "\U0001f600",
    "",
    "1",
    "y" * 70,
    "y" * 80,
]
NUMBERS = [0, 1, -1, 0.5, 1.0, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1e300]
LITERALS: list[str | int | float] = [*TEXTS, *NUMBERS]
PATHS = [("a",), ("a", "b"), ("k'", "ß z")]
ODD: list[Any] = [ABSENT, None, "x", {}, [], {"a": None}, {"a": True}, {"a": {}}, {"a": [["x"]]}, {"a": 0.1}]
ODD += [{"a": [{"b": ["x"]}]}, [{"a": {"b": "x"}}], {"a": {"b": {"c": "x"}}}, [[{"a": "x"}]]]
ODD += [{"a": {"0": "x"}}, {"a": [[{"b": "x"}]]}]


def ignore(done: int, events: int) -> None:
    """Who makes the index is not told how far it is."""


def saved() -> list[Event]:
    data = [*ODD]
    for literal in LITERALS:
        data += [{"a": literal}, {"a": [literal]}, {"a": {"b": literal}}, {"a": [0, {"b": literal}]}]
        data += [{"k'": {"ß z": literal}}, [{"a": literal}], {"b": literal}]
    return [event(T0 + n, n, each) for n, each in enumerate(data)]


async def test_an_index_changes_no_answer(store: Store) -> None:
    events = saved()
    await store.events.save("test", events[::2])
    for path in PATHS:
        assert await store.field_indexes.make("test", path, ignore)
    await store.events.save("test", events[1::2])
    async with store.events.read() as session:
        for path in PATHS:
            for literal in LITERALS:
                filter = Comparison("eq", Field(path), literal)
                wanted = sum(matches(filter, one.data) for one in events)
                expression = EventExpression("test", (), (filter,))
                assert await count(session, expression, WHOLE) == wanted, (path, literal)


async def test_an_index_leaves_out_what_does_not_match(store: Store) -> None:
    data = [{"a": {"b": f"w{n % 10}", "n": n % 7}} for n in range(70)]
    await store.events.save("test", [event(T0 + n, n, each) for n, each in enumerate(data)])
    sought = (Comparison("eq", Field(("a", "b")), "w3"), Comparison("eq", Field(("a", "n")), 3))
    async with store.events.read() as session:
        assert await session.indexed("test", WHOLE, wanted_by(sought), 9) is None
        assert await session.indexed("unknown", WHOLE, wanted_by(sought), 9) is None
    for number, path in enumerate([("a", "n"), ("a", "b")]):
        await store.field_indexes.make("test", path, ignore)
        async with store.events.read() as session:
            filter = wanted_by(sought[1 - number : 2 - number])
            assert await session.indexed("test", WHOLE, filter, 100) == (10, 7)[number]
            assert await session.indexed("test", WHOLE, filter, 5) == 5
            assert await session.indexed("test", Span(T0, T0 + 10), filter, 5) == 1
            blocks = [block async for block in session.scan("test", WHOLE, ("a",), wanted=filter)]
            assert sum(map(len, blocks)) == (10, 7)[number]


async def test_indexes_are_listed_made_once_and_dropped(store: Store) -> None:
    told: list[tuple[int, int]] = []
    await store.events.save("test", [event(T0, n, {"a": n}) for n in range(5)])
    assert await store.field_indexes.all("test") == []
    for path in reversed(PATHS):
        assert await store.field_indexes.make("test", path, lambda *each: told.append(each))
    assert not await store.field_indexes.make("test", PATHS[0], ignore)
    assert await store.field_indexes.all("test") == sorted(PATHS)
    assert told == [(0, 5), (5, 5)] * 3
    assert await store.field_indexes.drop("test", PATHS[1])
    assert not await store.field_indexes.drop("test", PATHS[1])
    assert await store.field_indexes.all("test") == sorted([PATHS[0], PATHS[2]])
    await store.events.save("other", [event(T0, 1, {"a": 1}, type="other")])
    assert await store.field_indexes.all("other") == await store.field_indexes.all("unknown") == []
    assert not await store.field_indexes.drop("unknown", PATHS[0])


async def test_a_type_without_events_and_a_name_that_is_stored_escaped_are_refused(store: Store) -> None:
    with pytest.raises(NotFound, match='no events of the type "test"'):
        await store.field_indexes.make("test", ("a",), ignore)
    await store.events.save("test", [event(T0, 1, {"a": 1})])
    with pytest.raises(InvalidRequest, match=r"Got the field .*; accepted on"):
        await store.field_indexes.make("test", ("a", 'b"\0.c'), ignore)
    assert await store.field_indexes.all("test") == []
    assert [text_of(path) for path in PATHS] == ["a", "a.b", '["k\'"]["ß z"]']
