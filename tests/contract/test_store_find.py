"""Event queries: the right events, in an order that no store changes."""

from __future__ import annotations

from typing import Any

import pytest

from cube.columns.definition import matches
from cube.expression.nodes import Comparison, EventExpression, Field, Filter
from cube.model.event import ABSENT, Event
from cube.model.tier import Span
from cube.store.find import Found, count, find
from cube.store.ports import Store

from .builders import T0, WHOLE, event

MADE = [b"\x00" * 12, b"\xff" * 12]


def _expression(
    *filters: Filter, fields: tuple[Field, ...] | None = None, type: str = "test"
) -> EventExpression:
    return EventExpression(type, fields, filters)


async def _found(
    store: Store, expression: EventExpression, span: Span = WHOLE, limit: int | None = None, **options: Any
) -> list[Found]:
    async with store.events.read() as session:
        return [one async for part in find(session, expression, span, limit=limit, **options) for one in part]


@pytest.fixture
async def events(store: Store) -> list[Event]:
    """3 000 events, three at each time."""
    saved = [event(T0 + i // 3, i, {"i": i, "even": i % 2 == 0}) for i in range(3_000)]
    await store.events.save("test", saved)
    return saved


async def test_an_unknown_type_has_no_events(store: Store) -> None:
    assert await _found(store, _expression()) == []


async def test_all_events_are_found_newest_first(store: Store, events: list[Event]) -> None:
    assert await _found(store, _expression()) == [
        Found(one.time, one.id, one.data) for one in reversed(events)
    ]


async def test_all_events_are_found_oldest_first(store: Store, events: list[Event]) -> None:
    found = await _found(store, _expression(), newest_first=False)

    assert found == [Found(one.time, one.id, one.data) for one in events]


async def test_a_limit_keeps_the_latest(store: Store, events: list[Event]) -> None:
    assert [one.id for one in await _found(store, _expression(), limit=4)] == [2_999, 2_998, 2_997, 2_996]


async def test_an_ascending_limit_keeps_the_earliest(store: Store, events: list[Event]) -> None:
    found = await _found(store, _expression(), limit=4, newest_first=False)

    assert [one.id for one in found] == [0, 1, 2, 3]


async def test_an_offset_passes_over_the_first(store: Store, events: list[Event]) -> None:
    for offset in (0, 1, 3, 1_500, 2_998, 2_999, 3_000, 4_000):
        found = await _found(store, _expression(), limit=3, offset=offset, newest_first=False)

        assert [one.id for one in found] == list(range(3_000))[offset : offset + 3], offset


async def test_a_limit_of_none_is_no_event(store: Store, events: list[Event]) -> None:
    assert await _found(store, _expression(), limit=0) == []


async def test_only_events_of_the_half_open_span_are_found(store: Store, events: list[Event]) -> None:
    found = await _found(store, _expression(), Span(T0 + 1, T0 + 2))

    assert [one.id for one in found] == [5, 4, 3]


async def test_only_events_that_pass_the_filters_are_found(store: Store, events: list[Event]) -> None:
    even = Comparison("eq", Field(("even",)), True)
    late = Comparison("ge", Field(("i",)), 2_990)

    found = await _found(store, _expression(even, late, fields=(Field(("i",)),)))

    assert [one.data for one in found] == [{"i": i} for i in (2_998, 2_996, 2_994, 2_992, 2_990)]


async def test_only_events_that_have_the_named_fields_are_found(store: Store) -> None:
    await store.events.save("test", [event(T0, 1, {"a": None, "b": 1}), event(T0, 2, {"b": 1}), event(T0, 3)])

    found = await _found(store, _expression(fields=(Field(("a",)),)))

    assert found == [Found(T0, 1, {"a": None})]


async def test_without_fields_no_data_are_shown(store: Store) -> None:
    await store.events.save("test", [event(T0, 1, {"a": 1}), event(T0, 2)])

    found = await _found(store, _expression(fields=()), newest_first=False)

    assert found == [Found(T0, 1, ABSENT), Found(T0, 2, ABSENT)]


async def test_among_equal_times_ids_are_in_order(store: Store) -> None:
    ids = [-1, 0, 0.5, 1, 2**53, "A", "a", "é", "😀", *MADE]
    await store.events.save("test", [event(T0, one) for one in reversed(ids)])

    assert [one.id for one in await _found(store, _expression(), newest_first=False)] == ids
    assert [one.id for one in await _found(store, _expression())] == ids[::-1]


async def test_a_limit_among_many_events_of_one_time_is_exact(store: Store, many: int) -> None:
    count = 3 * many
    for part in range(3):
        await store.events.save("test", [event(T0, (i * 7_919) % count) for i in range(part, count, 3)])

    assert [one.id for one in await _found(store, _expression(), limit=2)] == [count - 1, count - 2]
    first = await _found(store, _expression(), limit=2, offset=2 * many, newest_first=False)
    assert [one.id for one in first] == [2 * many, 2 * many + 1]


async def test_parts_are_not_empty(store: Store, events: list[Event]) -> None:
    last = Comparison("eq", Field(("i",)), 0)
    async with store.events.read() as session:
        parts = [part async for part in find(session, _expression(last), WHOLE, limit=10)]

    assert [len(part) for part in parts] == [1]


async def test_a_count_is_the_number_of_events_found(store: Store, events: list[Event]) -> None:
    even = _expression(Comparison("eq", Field(("even",)), True))

    async with store.events.read() as session:
        assert await count(session, even, WHOLE) == 1_500
        assert await count(session, even, Span(T0, T0 + 2)) == 3
        assert await count(session, _expression(type="unknown"), WHOLE) == 0


AWKWARD = ["x", 'a "quoted" \\ text', "é\n\t\x00", "日本", "\U0001f600", "", "</script>", "1"]


async def test_a_text_is_found_wherever_the_filter_means_it(store: Store) -> None:
    """However a store looks for it: a scan may be told which texts are wanted."""
    data: list[Any] = [shape for text in AWKWARD for shape in ({"a": text}, {"a": [1, text]}, [{"a": text}])]
    data += [{"a": {"a": text}, "b": text} for text in AWKWARD]
    data += [ABSENT, None, "x", {}, {"a": None}, {"a": 1}, {"a": True}, {"a": [["x"]]}]
    saved = [event(T0 + i, i, each) for i, each in enumerate(data)]
    await store.events.save("test", saved)
    for text in AWKWARD:
        expression = _expression(Comparison("eq", Field(("a",)), text))
        wanted = [one.id for one in saved if matches(expression.filters[0], one.data)]
        assert len(wanted) == 3
        assert [one.id for one in await _found(store, expression, newest_first=False)] == wanted
        async with store.events.read() as session:
            assert await count(session, expression, WHOLE) == len(wanted)
        twice = _expression(*expression.filters, Comparison("eq", Field(("b",)), text))
        assert await _found(store, twice) == []


async def test_a_rare_text_is_found_in_pages(store: Store) -> None:
    saved = [event(T0 + i, i, {"a": "rare" if i % 1_000 == 7 else "common"}) for i in range(6_000)]
    await store.events.save("test", saved)
    expression = _expression(Comparison("eq", Field(("a",)), "rare"))
    assert [one.id for one in await _found(store, expression, limit=2, offset=1)] == [4_007, 3_007]
    async with store.events.read() as session:
        assert await count(session, expression, Span(T0, T0 + 3_000)) == 3
