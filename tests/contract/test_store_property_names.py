"""Any name of a property comes back as it was sent, and is found by what is asked of it."""

from __future__ import annotations

from typing import Any

import pytest

from cube.expression.nodes import Comparison, EventExpression, Exists, Field
from cube.model.event import Event, EventId
from cube.store.find import Found, count, find
from cube.store.ports import Store

from .builders import T0, WHOLE, data, event, rows

NAMES = [
    *(
        "user-agent",
        "id.orig_h",
        "@type",
        "$browser",
        "+1",
        "-1",
        "US Gross",
        "authorization.k8s.io/decision",
    ),
    *(
        "価格",
        "数量",
        "größe",
        "e\u0301",
        "cpu%",
        "a%2Eb",
        "a.b",
        "%24a",
        "$a",
        "%",
        "%%2E",
        "%25",
        "%2",
        "$",
    ),
    *(
        '"',
        "\\",
        'a"b',
        "a\\u0062",
        "\0",
        "a\0b",
        "\n",
        "\x7f",
        ".",
        "..",
        "a.",
        ".a",
        "0",
        "-",
        " ",
        "\ufeff",
    ),
    *(
        "__proto__",
        "constructor",
        "_id",
        "t",
        "d",
        "escaped",
        "$ref",
        "$id",
        "$oid",
        "$numberLong",
        "[0]",
        "x" * 3_000,
    ),
]


async def _found(store: Store, *path: str | int) -> list[Found]:
    expression = EventExpression("test", (Field(path),), (Exists(Field(path)),))
    async with store.events.read() as session:
        return [one async for part in find(session, expression, WHOLE, limit=None) for one in part]


async def _numbered(store: Store, numbers: dict[str, int]) -> None:
    """Save an event for each name, whose value is its number, at the top and within an array."""
    events = [event(T0, n, {name: n, "in": [{name: {name: n}}]}) for name, n in numbers.items()]
    await store.events.save("test", events)


@pytest.fixture
async def numbers(store: Store) -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(NAMES)}
    await _numbered(store, numbers)
    return numbers


async def test_every_name_comes_back_as_it_was_sent(store: Store, numbers: dict[str, int]) -> None:
    assert [row[2] for row in sorted(await rows(store), key=lambda row: str(row[1]).zfill(9))] == [
        {name: n, "in": [{name: {name: n}}]} for name, n in numbers.items()
    ]


async def test_every_name_is_found_and_no_other(store: Store, numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        assert [(one.id, one.data) for one in await _found(store, name)] == [(number, {name: number})]
        nested = await _found(store, "in", 0, name, name)
        assert [(one.id, one.data) for one in nested] == [(number, {"in": [{name: {name: number}}]})]


async def test_all_names_of_one_event_are_kept_apart(store: Store) -> None:
    whole = {name: number for number, name in enumerate(NAMES)}
    await store.events.save("test", [event(T0, "one", {"deep": [whole], **whole})])
    assert await data(store) == {(1, "one"): {"deep": [whole], **whole}}
    for name, number in whole.items():
        [found] = await _found(store, name)
        assert found.data == {name: number}


async def test_events_are_filtered_by_text_under_any_name(store: Store) -> None:
    await store.events.save(
        "test", [event(T0, n, {name: f"of {name}", "n": n}) for n, name in enumerate(NAMES)]
    )
    async with store.events.read() as session:
        for name in NAMES:
            wanted = Comparison("eq", Field((name,)), f"of {name}")
            assert await count(session, EventExpression("test", (), (wanted,)), WHOLE) == 1, name


async def test_a_replaced_event_has_its_new_names(store: Store) -> None:
    replaced: dict[EventId, Any] = {"a": {"a.b": 1}, "b": {"plain": 1}, "c": {"$x": [{"y.z": None}]}}
    changed: dict[EventId, Any] = {"a": {"plain": 2}, "b": {"a.b": {"$c": 2}}, "c": {"%2E": 2}}
    for version in (replaced, changed):
        await store.events.save("test", [Event("test", T0, id, each) for id, each in version.items()])
    assert {id: each for _, id, each in await rows(store)} == changed
