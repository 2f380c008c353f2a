"""Expression indexes of SQLite: its own plans say that they are used; they hold no less than filters pass."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from cube.columns.definition import matches
from cube.errors import InvalidRequest
from cube.expression.nodes import Comparison, Field
from cube.model.event import Event
from cube.model.tier import Span
from cube.store.equality import wanted_by
from cube.store.sqlite import SqliteStore, catalog, field_index, field_indexes, open_store, saving
from cube.store.sqlite.field_index import key

WHOLE = Span(0, 10_000)
SOUGHT = {("a",): "w3"}


def ignore(done: int, events: int) -> None:
    """Who makes the index is not told how far it is."""


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    await opened.events.save("t", [Event("t", n, n, {"a": f"w{n % 100}"}) for n in range(10_000)])
    yield opened
    await opened.close()


async def _plans(store: SqliteStore, **options: Any) -> list[str]:
    """What SQLite says of the statements of a scan, and of a count, that read events."""
    async with store.events.read() as session:
        statements: list[str] = []
        connection = session._lease._begun()
        connection.set_trace_callback(statements.append)
        blocks = [block async for block in session.scan("t", WHOLE, ("a",), wanted=SOUGHT, **options)]
        await session.indexed("t", WHOLE, SOUGHT, 1_000)
        connection.set_trace_callback(None)
        assert sum(map(len, blocks)) == 100
        reading = [statement for statement in statements if "FROM events_" in statement]
        return [step[3] for each in reading for step in connection.execute(f"EXPLAIN QUERY PLAN {each}")]


@pytest.mark.parametrize("options", [{}, {"ids": True}, {"ids": True, "newest_first": True}])
async def test_scans_and_counts_search_the_index_and_sort_nothing(
    store: SqliteStore, options: dict[str, bool]
) -> None:
    await store.field_indexes.make("t", ("a",), ignore)
    plans = await _plans(store, **options)
    tables = [plan for plan in plans if "events_" in plan]
    assert tables
    assert all(plan.startswith("SEARCH") and "(<expr>=? AND time>? AND time<?)" in plan for plan in tables)
    assert not any("TEMP B-TREE" in plan for plan in plans)
    await store.field_indexes.drop("t", ("a",))
    assert not any("<expr>" in plan for plan in await _plans(store, **options))


async def test_a_build_that_would_keep_saves_waiting_for_too_long_is_refused(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_indexes, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(InvalidRequest, match="no event can be saved, .* wait for 10 s: use --any"):
        await store.field_indexes.make("t", ("a",), ignore)
    assert await store.field_indexes.make("t", ("a",), ignore, anyway=True)


async def _packed(store: SqliteStore) -> int:
    async with store.events.read() as session:
        connection = session._lease._begun()
        entry = catalog.find(connection, "p")
        assert entry is not None
        ((packed,),) = connection.execute(f"SELECT coalesce(sum(events), 0) FROM {entry.packs}")
        return int(packed)


async def _found(store: SqliteStore) -> tuple[int | None, list[int]]:
    """How many events an index finds, and the times of all that a scan gives that are sought."""
    async with store.events.read() as session:
        count = await session.indexed("p", WHOLE, SOUGHT, 10_000)
        scan = session.scan("p", WHOLE, ("a",), wanted=SOUGHT)
        pairs = [pair async for block in scan for pair in zip(block.times.tolist(), block.data, strict=True)]
        return count, [time for time, data in pairs if data == {"a": "w3"}]


async def test_packed_events_become_rows_a_slice_at_a_time_and_are_found_meanwhile(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_indexes, "SLICE_EVENTS", 500)
    for first in range(0, 10_000, 250):
        numbers = range(first, first + 250)
        events = [Event("p", n, n.to_bytes(12, "big"), {"a": f"w{n % 100}"}) for n in numbers]
        await store.events.save("p", events)
    assert await _packed(store) == 10_000
    assert await _found(store) == (None, list(range(3, 10_000, 100)))

    told: list[int] = []

    def stop(done: int, events: int) -> None:
        told.append(done)
        assert events == 10_000
        if done == 4_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await store.field_indexes.make("p", ("a",), stop)
    assert await _packed(store) == 6_000
    assert await _found(store) == (6_040, list(range(3, 10_000, 100)))

    assert await store.field_indexes.make("p", ("a",), lambda done, _: told.append(done))
    assert told == [0, *range(500, 4_001, 500), *range(4_500, 10_001, 500), 10_000]
    assert await _found(store) == (100, list(range(3, 10_000, 100)))
    assert not await store.field_indexes.make("p", ("a",), ignore)


_NAMES = st.sampled_from(["a", "b", "0", "é"])
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.sampled_from(["x", "x\0", 1, 1.0, 0.1, 2**53, 2.0**53])
)
_DATA = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(_DATA, min_size=1, max_size=20), st.lists(_NAMES, min_size=1, max_size=2).map(tuple), _LEAVES)
def test_the_key_holds_whatever_the_filter_passes(
    values: list[Any], path: tuple[str, ...], literal: Any
) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE e (data TEXT, time INTEGER)")
    connection.execute(f"CREATE INDEX i ON e ({key(path)}, time)")
    texts = [saving._encode(value).decode() for value in values]
    connection.executemany("INSERT INTO e VALUES (?, ?)", zip(texts, range(len(texts)), strict=True))
    for wanted in [literal, *values]:
        filter = Comparison("eq", Field(path), wanted if not isinstance(wanted, list | dict) else "x")
        for value in wanted_by((filter,)).values():
            lookup = field_index.Lookup("i", key(path), value)
            if isinstance(value, str) and "\0" in value:
                continue
            query = f"SELECT time FROM e INDEXED BY i WHERE {' OR '.join(lookup.conditions)}"
            found = {time for (time,) in connection.execute(query, {"wanted": value})}
            assert found >= {n for n, each in enumerate(values) if matches(filter, each)}
    connection.close()
