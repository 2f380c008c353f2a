"""Walks through events, page by page: each event once, in one order, over every store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cube.columns.block import Block
from cube.expression.nodes import Comparison, EventExpression, Field, Filter
from cube.model.event import EventId, id_key
from cube.model.place import cursor, parse_cursor
from cube.model.tier import Span
from cube.store import page as pages
from cube.store.find import Found, select_found
from cube.store.page import EventPage, Walk
from cube.store.ports import Store

from .builders import T0, WHOLE, event

IDS: list[EventId] = [-1, 0, 0.5, 1, 2**53, "A", "a", "é", "😀", b"\x00" * 12, b"\xff" * 12]


def _expression(*filters: Filter) -> EventExpression:
    return EventExpression("test", None, filters)


async def _page(
    store: Store, walk: Walk, limit: int, seconds: float | None = None
) -> tuple[list[Found], EventPage]:
    page = EventPage(walk, limit, seconds)
    async with store.events.read() as session:
        return [one async for part in page.parts(session) for one in part], page


async def _walked(
    store: Store, walk: Walk, limit: int, between: Callable[[list[Found]], Any] | None = None
) -> list[list[Found]]:
    """Go to the end, each page as a request of its own would."""
    found: list[list[Found]] = []
    while True:
        events, page = await _page(store, walk, limit)
        found.append(events)
        if page.cut is None:
            return found
        assert page.place is not None
        place = parse_cursor(cursor(page.place)).place
        walk = Walk(walk.expression, walk.span, walk.downwards, place)
        if between is not None:
            await between(events)


async def _save(store: Store, *ids: EventId, step: int = 1) -> None:
    await store.events.save("test", [event(T0 + i * step, id, {"i": i}) for i, id in enumerate(ids)])


@pytest.mark.parametrize("downwards", [False, True])
async def test_each_event_comes_once_whatever_the_length_of_a_page(store: Store, downwards: bool) -> None:
    await store.events.save("test", [event(T0 + i // 3, i, {"i": i}) for i in range(60)])
    expected = list(range(60))[:: -1 if downwards else 1]
    for limit in (1, 2, 3, 7, 59, 60, 61):
        walked = await _walked(store, Walk(_expression(), WHOLE, downwards), limit)
        assert [one.id for events in walked for one in events] == expected, limit
        assert len(walked) == -(-60 // limit)


@pytest.mark.parametrize("downwards", [False, True])
async def test_ids_of_all_kinds_at_one_time_are_walked_in_order(store: Store, downwards: bool) -> None:
    await _save(store, *IDS[::-1], step=0)
    walked = await _walked(store, Walk(_expression(), WHOLE, downwards), 2)
    assert [one.id for events in walked for one in events] == IDS[:: -1 if downwards else 1]


async def test_many_events_of_one_instant_are_read_to_the_end(store: Store) -> None:
    count = 1_200  # some slices, and on SQLite two blocks
    for part in range(3):
        await store.events.save("test", [event(T0, (i * 7_919) % count) for i in range(part, count, 3)])
    walked = await _walked(store, Walk(_expression(), WHOLE, downwards=False), 599)
    assert [one.id for events in walked for one in events] == list(range(count))
    assert [len(events) for events in walked] == [599, 599, 2]


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("limit", [7, 40, 333])
async def test_an_instant_with_ids_of_all_kinds_in_several_saves_is_walked_once(
    store: Store, downwards: bool, limit: int
) -> None:
    """Beside others of its second, and the seconds around."""
    for part in range(4):
        made = [event(T0 + 500, None, {"i": i}) for i in range(50)]
        around = [
            event(T0 + time, None, {"i": 0}) for time in (499, 501, 0, 999, -1, 1_000) for _ in range(9)
        ]
        await store.events.save("test", [*made, *around])
        await store.events.save("test", [event(T0 + 500, part * 10 + i) for i in range(10)])
        await store.events.save("test", [event(T0 + 500, f"{part}{i}") for i in range(10)])
    walked = await _walked(store, Walk(_expression(), WHOLE, downwards), limit)
    places = [(one.time, id_key(one.id)) for events in walked for one in events]
    assert len(places) == 4 * (50 + 54 + 20)
    assert places == sorted(set(places), reverse=downwards)
    assert {len(events) for events in walked[:-1]} == {limit}


@pytest.mark.parametrize("downwards", [False, True])
async def test_of_an_instant_what_a_walk_has_passed_is_not_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, downwards: bool
) -> None:
    """Or the pages of many events of one time would take as long as their square."""
    read: list[int] = []
    find = select_found

    def counted(expression: EventExpression, block: Block, **options: Any) -> list[Found]:
        read.append(len(block))
        return find(expression, block, **options)

    monkeypatch.setattr(pages, "select_found", counted)
    for _ in range(4):
        await store.events.save("test", [event(T0, None, {}) for _ in range(250)])
    walked = await _walked(store, Walk(_expression(), WHOLE, downwards), 100)
    assert sum(map(len, walked)) == 1_000
    remaining = [1_000 - 100 * page for page in range(len(walked))]
    assert sum(read) <= sum(remaining)  # of which slices are read up to the end of a page
    assert len(read) >= len(walked)


@pytest.mark.parametrize("downwards", [False, True])
async def test_a_walk_with_filters_and_a_span_leaves_out_what_they_leave_out(
    store: Store, downwards: bool
) -> None:
    await store.events.save("test", [event(T0 + i // 4, i, {"i": i, "even": i % 2 == 0}) for i in range(80)])
    walk = Walk(_expression(Comparison("eq", Field(("even",)), True)), Span(T0 + 2, T0 + 12), downwards)
    walked = await _walked(store, walk, 3)
    assert [one.id for events in walked for one in events] == list(range(8, 48, 2))[:: -1 if downwards else 1]


@pytest.mark.parametrize("downwards", [False, True])
async def test_what_arrives_meanwhile_is_found_where_its_place_is_still_to_come(
    store: Store, downwards: bool
) -> None:
    await _save(store, *range(10), step=10)
    late = iter([T0 + 5, T0 + 85])  # one at each end of the walk

    async def arrive(_: list[Found]) -> None:
        for time in late:
            await store.events.save("test", [event(time, time)])

    walked = await _walked(store, Walk(_expression(), WHOLE, downwards), 4, arrive)
    times = [one.time for events in walked for one in events]
    expected = sorted([*range(T0, T0 + 100, 10), T0 + 5 if downwards else T0 + 85], reverse=downwards)
    assert times == expected


async def test_a_page_that_takes_the_last_events_is_not_cut(store: Store) -> None:
    await _save(store, *range(10))
    for downwards in (False, True):
        for limit, cut in ((9, "limit"), (10, None), (11, None)):
            events, page = await _page(store, Walk(_expression(), WHOLE, downwards), limit)
            assert (len(events), page.cut) == (min(limit, 10), cut)


async def test_a_full_page_before_a_long_stretch_that_no_filter_passes_may_have_been_cut(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKED_ON", 0)
    await store.events.save("test", [event(T0 + i, i, {"i": i}) for i in range(40)])
    walk = Walk(_expression(Comparison("lt", Field(("i",)), 5)), WHOLE, downwards=False)
    events, page = await _page(store, walk, 5)
    assert (len(events), page.cut) == (5, "limit")
    assert page.place is not None
    events, page = await _page(store, Walk(walk.expression, WHOLE, downwards=False, place=page.place), 5)
    assert (events, page.cut) == ([], None)


@pytest.mark.parametrize("downwards", [False, True])
async def test_pages_that_end_for_time_go_on_to_the_end(store: Store, downwards: bool) -> None:
    """Each ends as soon as it may, having found nothing, and the next begins where it was."""
    await store.events.save("test", [event(T0 + i // 2, i, {"i": i}) for i in range(1_200)])
    wanted = 3 if downwards else 1_197
    walk = Walk(_expression(Comparison("eq", Field(("i",)), wanted)), WHOLE, downwards)
    found, cuts = [], []
    while True:
        events, page = await _page(store, walk, 10, seconds=0.0)
        found += events
        if page.cut is None:
            break
        cuts.append(page.cut)
        assert page.place is not None
        assert page.place != walk.place
        walk = Walk(walk.expression, WHOLE, downwards, parse_cursor(cursor(page.place)).place)
    assert [one.id for one in found] == [wanted]
    assert set(cuts) == {"time"}


@pytest.mark.parametrize("downwards", [False, True])
async def test_pages_end_at_the_time_of_no_event_that_is_hidden(store: Store, downwards: bool) -> None:
    await store.events.save("test", [event(T0 + 7_013 * i + 1, i, {"i": i % 500}) for i in range(1_500)])
    walk = Walk(_expression(Comparison("eq", Field(("i",)), 250)), WHOLE, downwards)
    found, ends = [], []
    while True:
        page = EventPage(walk, 10, 0.0, hides=True)
        async with store.events.read() as session:
            found += [each async for part in page.parts(session) for each in part]
        if page.cut is None:
            break
        assert page.place is not None
        ends.append(page.place)
        walk = Walk(walk.expression, WHOLE, downwards, page.place)
    assert [one.id for one in found] == ([1_250, 750, 250] if downwards else [250, 750, 1_250])
    shown = {one.time for one in found}
    assert ends
    assert all(place.time % 1_000 == 0 if place.id is None else place.time in shown for place in ends)


async def test_a_walk_through_an_unknown_type_ends_at_once(store: Store) -> None:
    events, page = await _page(store, Walk(_expression(), WHOLE), 5)
    assert (events, page.cut, page.place) == ([], None, None)
