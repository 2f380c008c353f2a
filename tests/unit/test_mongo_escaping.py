"""Names that MongoDB cannot hold or query, and documents whose names only look as if they were escaped."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from cube.model.event import ABSENT, Event
from cube.model.made_id import make_id
from cube.store.mongo.documents import (
    MARK,
    DocumentDecoder,
    encode,
    encode_all,
    escape,
    is_escaped,
    unescape,
)
from cube.store.mongo.layout import Document
from tests.mongo_server import mongo_server
from tests.unit.mongo_support import T0, WHOLE, Commands, Database, database, rows, sockets_dropped

__all__ = ["database", "mongo_server", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

NAMES = st.text(min_size=1, max_size=6) | st.text("%2E450$.\0a", min_size=1, max_size=8)
DATA = st.recursive(
    st.integers(0, 9), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)


def document(data: Any) -> Document:
    return encode(Event("a", T0, "id", data))


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("id.orig_h", "id%2Eorig_h"),
        ("$browser", "%24browser"),
        ("a$", "a$"),
        ("a\0", "a%00"),
        ("cpu%", "cpu%"),
        ("%2E", "%252E"),
        ("100%25", "100%2525"),
        ("user-agent", "user-agent"),
        ("US Gross", "US Gross"),
        ("価格", "価格"),
    ],
)
def test_only_what_the_server_cannot_hold_or_query_is_escaped(name: str, stored: str) -> None:
    assert list(escape({name: 1})) == [stored]
    assert is_escaped(name) == (name != stored)
    assert document([{name: 1}]).get(MARK, False) == (name != stored)


def test_a_document_without_such_names_is_squares() -> None:
    data = {"a": [{"b c": 1}], "e%": 2}
    assert document(data) == {"_id": "id", "t": DatetimeMS(T0), "d": data}
    assert document(data)["d"] is data


FLAT = st.dictionaries(NAMES, st.integers(0, 9) | st.text(max_size=2), max_size=3)


@given(
    st.lists(st.tuples(st.sampled_from(["id", 7, make_id()]), FLAT)) | st.lists(st.tuples(st.just(1), DATA))
)
def test_events_are_encoded_together_as_each_alone(made: list[tuple[Any, Any]]) -> None:
    events = [Event("a", T0 + place, id, data) for place, (id, data) in enumerate(made)]
    assert encode_all(events) == list(map(encode, events))


def test_an_event_without_data_changes_nothing_about_its_neighbours() -> None:
    events = [Event("a", T0, "1", {"b": 1}), Event("a", T0, "2"), Event("a", T0, "3", {"c.d": 1})]
    assert encode_all(events) == list(map(encode, events))
    assert [one.data is ABSENT for one in events] == [False, True, False]


@given(DATA)
def test_what_is_stored_is_read_as_it_was_and_holds_nothing_odd(data: Any) -> None:
    stored = escape(data)
    assert unescape(stored) == data if stored is not data else stored == data
    assert not [name for name in _names(stored) if "." in name or "\0" in name or name.startswith("$")]
    [read] = DocumentDecoder(ids=False).block(bson.encode(document(data))).data
    assert read == data


@given(DATA)
def test_a_document_of_squares_is_read_as_it_stands(data: Any) -> None:
    stored = escape(data)  # what it holds may look like anything that we write
    batch = bson.encode({"_id": ObjectId(), "t": DatetimeMS(T0), "d": stored})
    assert DocumentDecoder(ids=False).block(batch).data == [stored]


async def test_squares_names_are_found_beside_ours(database: Database) -> None:
    """Square's Cube and other tools may have stored what looks like an escape, or a bare dot."""
    theirs = [{"a%2Eb": 1, "n": 1}, {"a.b": 2, "n": 2}, {"a": {"b": 3}, "n": 3}]
    await database.raw.test_events.insert_many(
        [{"_id": n, "t": DatetimeMS(T0), "d": each} for n, each in enumerate(theirs)]
    )
    store = await database.open()
    await store.events.save("test", [Event("test", T0, 7, {"a.b": 4, "a%2Eb": 5, "n": 4})])

    everything = {id: data for _, id, data in await rows(store)}
    assert everything == {**dict(enumerate(theirs)), 7: {"a.b": 4, "a%2Eb": 5, "n": 4}}
    for name, found in (("a.b", {1: 2, 7: 4}), ("a%2Eb", {0: 1, 7: 5})):
        async with store.events.read() as session:
            blocks = [block async for block in session.scan("test", WHOLE, (name,), ids=True)]
        read = {
            id: each.get(name)
            for block in blocks
            for id, each in zip(block.ids or (), block.data, strict=True)
        }
        assert {id: each for id, each in read.items() if each is not None} == found


async def test_a_filter_on_an_escaped_name_is_not_sent_to_the_server(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)
    await store.events.save("test", [Event("test", T0, n, {"a.b": f"w{n}", "c": f"w{n}"}) for n in range(3)])
    for indexed in ("d.a%2Eb", "d.a.b", "d.c"):
        await database.raw.test_events.create_index([(indexed, 1)])
    for name, events in (("a.b", 3), ("c", 1)):
        async with store.events.read() as session:
            scan = session.scan("test", WHOLE, (name,), wanted={(name,): "w1"})
            assert sum([len(block) async for block in scan]) == events
    [whole, named] = [
        command["projection"]
        for kind, _, command in commands.sent
        if kind == "find" and "projection" in command
    ][-2:]
    assert "d" in whole
    assert named == {"_id": False, "t": 1, MARK: 1, "d.c": 1}


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for item in value.values() for name in _names(item))]
    return [name for item in value for name in _names(item)] if isinstance(value, list) else []
