"""What daemons tell of themselves, on every kind of store."""

from __future__ import annotations

import asyncio

import pytest

from cube.store.ports import Store

from .databases import Database


async def told(store: Store) -> dict[str, str]:
    return {report.process: report.content for report in await store.reports.all()}


async def test_a_process_replaces_what_it_told_and_all_see_it(database: Database) -> None:
    first, second = await database.open(), await database.open()
    assert await first.reports.all() == []
    await first.reports.put("b-1", '{"n": 1}')
    await first.reports.put("b-1", '{"text": "é <b>"}')
    await second.reports.put("a-2", "{}")
    assert await told(first) == await told(second) == {"a-2": "{}", "b-1": '{"text": "é <b>"}'}
    assert [report.process for report in await second.reports.all()] == ["a-2", "b-1"]


async def test_a_report_ages_until_it_is_put_again(store: Store) -> None:
    async def age() -> int:
        (report,) = await store.reports.all()
        return report.age_ms

    await store.reports.put("a", "{}")
    async with asyncio.timeout(20):
        while await age() < 100:  # noqa: ASYNC110 - the store's clock tells nobody
            await asyncio.sleep(0.02)
        await store.reports.put("a", "{}")
        while await age() >= 100:  # a machine that stood still meanwhile
            await store.reports.put("a", "{}")


async def test_the_latest_reports_alone_are_told_of_where_processes_end_again_and_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("mongo", "sqlite"):
        monkeypatch.setattr(f"cube.store.{kind}.reports.MOST_REPORTS", 3)
    for number in range(5):
        await store.reports.put(f"p{number}", "{}")
        await asyncio.sleep(0.02)  # clocks of file systems have steps
    assert list(await told(store)) == ["p2", "p3", "p4"]


async def test_a_removed_process_is_forgotten_and_an_unknown_one_is_no_error(store: Store) -> None:
    await store.reports.put("a", "{}")
    await store.reports.put("b", "{}")
    await store.reports.remove("a")
    await store.reports.remove("a")
    assert await told(store) == {"b": "{}"}


async def test_reports_at_once_do_not_disturb_each_other(database: Database) -> None:
    stores = [await database.open() for _ in range(3)]
    await asyncio.gather(
        *(
            store.reports.put(f"p{place}", str(turn))
            for turn in range(3)
            for place, store in enumerate(stores)
        )
    )
    assert set(await told(stores[0])) == {"p0", "p1", "p2"}


async def test_a_store_tells_the_versions_of_what_it_is_made_of(store: Store) -> None:
    versions = await store.reports.versions()
    assert versions
    assert all(name.isalpha() and text[0].isdigit() for name, text in versions.items()), versions


async def test_reports_are_no_events(store: Store) -> None:
    await store.reports.put("a", "{}")
    async with store.events.read() as session:
        assert await session.types() == []
