"""``cube delete`` and ``cube revise``: what they ask, tell and do, on a store that others may have open."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cube.cli import delete as delete_module
from cube.cli.main import main
from cube.model import instant
from cube.model.event import Event
from cube.model.tier import CACHED_TIERS
from cube.store.sqlite import open_store
from tests.contract.builders import changed, numbers, rows

T0 = instant.parse("2011-07-19T00:00Z")
X = 'test.eq(user, "x")'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store with six events."""

    async def fill() -> None:
        store = await open_store(tmp_path, "cube_development")
        events = [Event("test", T0 + id, id, {"user": "xy"[id % 2]}) for id in range(6)]
        await store.events.save("test", events)
        await store.close()

    asyncio.run(fill())
    return tmp_path


def run(directory: Path, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, [*words, "--store", f"sqlite:{directory}"], input=typed)


def left(directory: Path) -> list[Any]:
    async def read() -> list[Any]:
        store = await open_store(directory, "cube_development")
        try:
            return [id for _, id, _ in await rows(store)]
        finally:
            await store.close()

    return asyncio.run(read())


def test_it_counts_deletes_and_tells_who_did(directory: Path) -> None:
    counted = run(directory, "delete", X, "--count")
    assert (counted.exit_code, counted.stdout) == (0, "3 events are selected.\n")

    deleted = run(directory, "delete", X, "--yes")
    assert (deleted.exit_code, deleted.stdout) == (0, "3 events are deleted.\n")
    assert re.fullmatch(
        r"\S+ at \S+ with cube delete deleted 3 events: test.eq\(user,\"x\"\)\.\n", deleted.stderr
    )
    assert left(directory) == [1, 3, 5]
    again = run(directory, "delete", X, "--yes")
    assert (again.stdout, again.stderr) == ("0 events are selected.\n", "")


def test_a_field_that_no_event_has_is_told(directory: Path) -> None:
    mistyped = run(directory, "delete", 'test.eq(usr, "x").eq(user, "x")', "--yes")
    assert (mistyped.exit_code, mistyped.stdout) == (0, "0 events are selected.\n")
    assert mistyped.stderr == "cube: No event of test in that time has the field usr.\n"


def test_it_asks_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = run(directory, "delete", X)
    assert (nobody.exit_code, left(directory)) == (2, [*range(6)])
    assert "--yes" in nobody.stderr

    monkeypatch.setattr(delete_module, "_is_terminal", lambda: True)
    refused = run(directory, "delete", X, typed="n\n")
    assert 'Delete 3 events: test.eq(user,"x")? [y/N]: n\nNothing is deleted.\n' in refused.stdout
    assert left(directory) == [*range(6)]
    assert "3 events are deleted." in run(directory, "delete", X, typed="y\n").stdout
    assert left(directory) == [1, 3, 5]
    one = run(directory, "delete", "test", "--stop", "2011-07-19T00:00:00.002Z", "--all", typed="n\n")
    assert "Delete 1 event: test" in one.stdout


def test_times_bound_it(directory: Path) -> None:
    stop = "2011-07-19T00:00:00.002Z"
    deleted = run(directory, "delete", "test", "--start", "2011-07-19", "--stop", stop, "--yes")
    assert "2 events: test from 2011-07-19T00:00:00.000Z to 2011-07-19T00:00:00.002Z." in deleted.stderr
    assert left(directory) == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("delete", "test", "--yes"), 2, "a start and a stop, or --all."),
        (("delete", "test", "--start", "-6h", "--yes"), 2, "a start and a stop, or --all."),
        (
            ("delete", "test", "--start", "soon", "--stop", "now"),
            2,
            "The parameter start is not a valid time.",
        ),
        (("delete", "sum(test)", "--all", "--yes"), 2, "sum"),
        (("delete", "tests", "--all", "--yes"), 2, "There are no events of the type tests"),
        (("delete", X, "--environment", "prod", "--yes"), 2, "prod"),
        (("revise", "tests"), 2, "There are no events of the type tests"),
        (("revise", "Test"), 2, "Test"),
    ],
)
def test_what_is_not_clear_is_refused(
    directory: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = run(directory, *words)
    assert (refused.exit_code, left(directory)) == (status, [*range(6)])
    assert sentence in refused.stderr


def test_all_of_a_type_may_be_meant(directory: Path) -> None:
    assert run(directory, "delete", "test", "--all", "--yes").stdout == "6 events are deleted.\n"
    assert left(directory) == []


def test_what_another_tool_changed_is_revised(directory: Path) -> None:
    async def read() -> Any:
        store = await open_store(directory, "cube_development")
        try:
            return await numbers(store)
        finally:
            await store.close()

    before = asyncio.run(read())
    with sqlite3.connect(directory / "cube_development.events.db") as connection:
        connection.execute("DELETE FROM events_1 WHERE id = 1")
    connection.close()
    revised = run(directory, "revise", "test", "--start", "2011-07-19", "--stop", "2011-07-20")
    assert (revised.exit_code, revised.stdout.count("test")) == (0, 1)
    after = asyncio.run(read())
    assert changed(before, after) == {tier.step: {tier.floor(T0)} for tier in CACHED_TIERS}
