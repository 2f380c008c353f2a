"""Packs: many events of one second in one row, as they were saved together.

An event's own row takes a place in two trees, which is most of what saving it costs, and a page of the
log wherever its time lies between others. So `MIN_EVENTS` or more with made ids, whose times are within one
second, are one row: times and data as JSON arrays, and of the ids what they differ in. Clients' ids are
never packed, for events with them are replaced.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard, cast

import msgspec
import numpy as np
import numpy.typing as npt

from cube.model.event import Event, EventId
from cube.model.event_run import RUN_MS, EventRun
from cube.model.made_id import COUNTER_BYTES, MADE_ID_BYTES

PACK_MS: Final = RUN_MS
"""The times of a pack are within so many milliseconds, aligned, as all buckets begin."""

MIN_EVENTS: Final = 32
MAX_BYTES: Final = 2**20
"""Of the data of a pack, for it is read as a whole."""

MAX_EVENT_BYTES: Final = 1_024
"""Events that are longer, on average, are rows: these cost no more then, and a second is read as a whole."""

MOST_EVENTS: Final = 131_072
"""Of the packs of a second, about: more become rows, which are read block by block."""

_JUMP_BITS: Final = 24
"""Numbers go on from the last one by a random jump, for packs that have gone may have had the next ones: who
has read these knows them by their numbers (`cube.store.sqlite.parts`)."""

_TOGETHER: Final = 16
"""Packs of one statement: each one gives the interpreter's lock up, and waits for it again."""

_LOOK: Final = 16  # packs of a second between two looks at how many events they have

_COUNTER: Final = COUNTER_BYTES
_PREFIX: Final = MADE_ID_BYTES - _COUNTER  # seconds and process: the same in all ids of a pack
_LAST: Final = b"\xff" * _COUNTER

COLUMNS: Final = "second, events, last_id, ids, times, data"
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS {packs} (number INTEGER PRIMARY KEY, second INTEGER NOT NULL,
    events INTEGER NOT NULL, last_id BLOB NOT NULL, ids BLOB, times TEXT NOT NULL, data TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS {packs}_by_second ON {packs} (second)",
    "CREATE INDEX IF NOT EXISTS {packs}_by_id ON {packs} (last_id)",
)

VIEW: Final = (
    "CREATE VIEW IF NOT EXISTS all_{events} AS SELECT time, data FROM {events} UNION ALL"
    " SELECT second + json_extract(times, '$[' || each.key || ']'), CASE"
    " WHEN each.type IN ('object', 'array') THEN each.value WHEN each.type IN ('true', 'false', 'null')"
    " THEN each.type ELSE json_quote(each.value) END FROM {packs}, json_each({packs}.data) AS each"
)
"""All events of a type, for `sqlite3` and its JSON functions."""

_encode = msgspec.json.Encoder().encode
_integers = msgspec.json.Decoder(list[int]).decode
_counts = msgspec.json.Decoder(dict[int, int]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


StoredRow: TypeAlias = tuple[int, bytes, str]
"""A packed event's time, id and data."""


class Pack(NamedTuple):
    """Events of one second, ordered by (time, id); a row of `COLUMNS`.

    ``last_id``: the greatest id. ``ids``: the last three bytes of each, or None where they are consecutive.
    ``times``: a JSON array of milliseconds within the second. ``data``: a JSON array.
    """

    second: int
    events: int
    last_id: bytes
    ids: bytes | None
    times: str
    data: str

    @classmethod
    def of(cls, second: int, events: Sequence[Event]) -> Pack:
        """Make a pack of events of a second whose ids differ, and have one prefix."""
        ids = cast("list[bytes]", [event.id for event in events])
        times = [event.time for event in events]
        if times != sorted(times) or ids != sorted(ids):
            events = sorted(events, key=_place)
            ids = cast("list[bytes]", [event.id for event in events])
            times = [event.time for event in events]
        last = max(ids)
        return cls(
            second,
            len(events),
            last,
            None if _are_consecutive(ids) else b"".join([id[_PREFIX:] for id in ids]),
            _encode([time - second for time in times]).decode(),
            _encode([event.data for event in events]).decode(),
        )

    @classmethod
    def of_run(cls, run: EventRun) -> Pack:
        """Make a pack of a run."""
        second = run.second
        times = _encode([time - second for time in run.times]).decode()
        return cls(second, len(run), run.last_id, None, times, run.data.decode())

    @classmethod
    def of_rows(cls, second: int, rows: Sequence[StoredRow]) -> Pack:
        """Make a pack of some of the events of a pack, in their order."""
        ids = [id for _, id, _ in rows]
        return cls(
            second,
            len(rows),
            max(ids),
            None if _are_consecutive(ids) else b"".join([id[_PREFIX:] for id in ids]),
            _encode([time - second for time, _, _ in rows]).decode(),
            f"[{','.join(text for _, _, text in rows)}]",
        )

    def rows(self) -> list[StoredRow]:
        """Return its events: the time, the id and the JSON text of the data of each."""
        return list(zip(self.instants(), self.event_ids(), self.texts(), strict=True))

    def instants(self) -> list[int]:
        """Return the times of its events."""
        second = self.second
        return [second + offset for offset in _integers(self.times)]

    def times_array(self) -> npt.NDArray[np.int64]:
        """Return the same as an array."""
        offsets = _integers(self.times)
        return np.fromiter(offsets, np.int64, len(offsets)) + self.second

    def event_ids(self) -> list[bytes]:
        """Return the ids of its events."""
        return ids_of(self.events, self.last_id, self.ids)

    @property
    def edges(self) -> tuple[bytes, bytes]:
        """Its least and its greatest id."""
        if self.ids is not None:
            return min(self.event_ids()), self.last_id
        number = int.from_bytes(self.last_id[_PREFIX:], "big") + 1 - self.events
        return self.last_id[:_PREFIX] + number.to_bytes(_COUNTER, "big"), self.last_id

    def texts(self) -> list[str]:
        """Return the JSON text of the data of each of its events."""
        return [bytes(raw).decode() for raw in _raws(self.data)]


def ids_of(count: int, last_id: bytes, ids: bytes | None) -> list[bytes]:
    """Return the ids of a pack's events, in their order."""
    prefix = last_id[:_PREFIX]
    if ids is not None:
        return [prefix + ids[place : place + _COUNTER] for place in range(0, len(ids), _COUNTER)]
    end = int.from_bytes(last_id[_PREFIX:], "big") + 1
    return [prefix + number.to_bytes(_COUNTER, "big") for number in range(max(0, end - count), end)]


def holding(
    connection: sqlite3.Connection, table: str, packs: Iterable[Pack], ids: Iterable[EventId]
) -> set[int]:
    """Return the numbers of the stored packs that have an event of new packs, or with one of some ids.

    Of what is new none is looked into: no pack of the same process and second ends as late, which of many
    packs is asked once.
    """
    found: set[int] = set()
    new = list(packs)
    if len(new) > 1 and not any(_some_end_within(connection, table, edges) for edges in spans(new)):
        new = []
    for pack in new:
        found.update(_sharing(connection, table, pack.edges, pack.event_ids))
    made = sorted(filter(is_made, ids))
    for _, group in groupby(made, key=lambda id: id[:_PREFIX]):
        some = list(group)
        found.update(_sharing(connection, table, (some[0], some[-1]), some.copy))
    return found


def later(ids: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Return, for made ids of each second and process, between which ids packs end that may have one."""
    made = sorted(filter(is_made, ids))
    return [(next(group), prefix + _LAST) for prefix, group in groupby(made, key=lambda id: id[:_PREFIX])]


def _sharing(
    connection: sqlite3.Connection, table: str, edges: tuple[bytes, bytes], ids: Callable[[], Sequence[bytes]]
) -> Iterator[int]:
    """Return the stored packs with one of some ids, whose first and last are ``edges``."""
    first, last = edges
    query = f"SELECT number, events, last_id, ids FROM {table} WHERE last_id >= ? AND last_id <= ?"  # noqa: S608 - our table
    for number, *pack in connection.execute(query, (first, first[:_PREFIX] + _LAST)).fetchall():
        stored = ids_of(*pack)
        if min(stored) <= last and not set(stored).isdisjoint(ids()):
            yield number


def spans(packs: Iterable[Pack]) -> list[tuple[bytes, bytes]]:
    """Return the least and the greatest id of packs, of each process and second in which ids were made."""
    found: dict[bytes, list[bytes]] = {}
    for pack in packs:
        found.setdefault(prefix_of(pack.last_id), []).extend(pack.edges)
    return [(min(edges), max(edges)) for edges in found.values()]


def _some_end_within(connection: sqlite3.Connection, table: str, edges: tuple[bytes, bytes]) -> bool:
    query = f"SELECT 1 FROM {table} WHERE last_id >= ? AND last_id <= ? LIMIT 1"  # noqa: S608 - our table
    first = edges[0]
    return connection.execute(query, (first, prefix_of(first) + _LAST)).fetchone() is not None


def seconds_to_look_at(connection: sqlite3.Connection, table: str, added: Mapping[int, int]) -> list[int]:
    """Return the seconds of which to look at how many events they have, of those that get some packs.

    Before its first pack, and now and then.
    """
    counted = (
        f"SELECT second, count(*) AS packs FROM {table} WHERE second IN (SELECT value FROM json_each(?))"  # noqa: S608 - our table
    )
    query = f"SELECT json_group_object(second, packs) FROM ({counted} GROUP BY second)"  # noqa: S608 - our query
    (counts,) = connection.execute(query, (_encode(list(added)).decode(),)).fetchone()
    packs = _counts(counts)
    return [
        second
        for second, more in added.items()
        if second not in packs or packs[second] // _LOOK != (packs[second] + more) // _LOOK
    ]


def are_many(connection: sqlite3.Connection, table: str, second: int) -> bool:
    """Tell whether a second has `MOST_EVENTS` in packs."""
    query = f"SELECT coalesce(sum(events), 0) FROM {table} WHERE second = ?"  # noqa: S608 - our table
    (events,) = connection.execute(query, (second,)).fetchone()
    return int(events) >= MOST_EVENTS


def numbers_of(connection: sqlite3.Connection, table: str, second: int) -> list[int]:
    """Return the numbers of the packs of a second."""
    query = f"SELECT number FROM {table} WHERE second = ?"  # noqa: S608 - our table
    return [number for (number,) in connection.execute(query, (second,))]


def insert(connection: sqlite3.Connection, table: str, packs: Iterable[Pack]) -> None:
    """Store packs of events that are not stored yet, under new numbers; see `_JUMP_BITS`."""
    new = list(packs)
    if not new:
        return
    (last,) = connection.execute(f"SELECT coalesce(max(number), 0) FROM {table}").fetchone()  # noqa: S608 - our table
    numbered = list(enumerate(new, last + 1 + secrets.randbits(_JUMP_BITS)))
    for place in range(0, len(numbered), _TOGETHER):
        values = [value for number, pack in numbered[place : place + _TOGETHER] for value in (number, *pack)]
        rows = ",".join(["(?,?,?,?,?,?,?)"] * (len(values) // 7))
        connection.execute(f"INSERT INTO {table} (number, {COLUMNS}) VALUES {rows}", values)  # noqa: S608 - our names


def take(connection: sqlite3.Connection, table: str, numbers: Collection[int]) -> Iterator[Any]:
    """Delete packs, and return their events as rows: (time, id, data text)."""
    for number in numbers:
        pack = read(connection, table, number)
        connection.execute(f"DELETE FROM {table} WHERE number = ?", (number,))  # noqa: S608 - our table
        yield from pack.rows()


def read(connection: sqlite3.Connection, table: str, number: int) -> Pack:
    """Return the stored pack of a number."""
    query = f"SELECT {COLUMNS} FROM {table} WHERE number = ?"  # noqa: S608 - our names
    return Pack(*connection.execute(query, (number,)).fetchone())


def delete_some(connection: sqlite3.Connection, table: str, end: int, most: int) -> tuple[int, int]:
    """Delete packs that end before a time, the first ones first; return how many, and how many events."""
    query = f"SELECT number, events FROM {table} WHERE second <= ? ORDER BY second LIMIT {most}"  # noqa: S608 - our table
    found = connection.execute(query, (end - PACK_MS,)).fetchall()
    connection.executemany(f"DELETE FROM {table} WHERE number = ?", [(number,) for number, _ in found])  # noqa: S608 - our table
    return len(found), sum(count for _, count in found)


def prefix_of(id: bytes) -> bytes:
    """Return what a made id has in common with all of its process and second."""
    return id[:_PREFIX]


def is_made(id: EventId) -> TypeGuard[bytes]:
    """Tell whether an id was made, not given by a client."""
    return isinstance(id, bytes) and len(id) == MADE_ID_BYTES


def _are_consecutive(ids: Sequence[bytes]) -> bool:
    """Tell whether different ids with one prefix follow one another."""
    first, last = (int.from_bytes(id[_PREFIX:], "big") for id in (ids[0], ids[-1]))
    return last - first == len(ids) - 1 and ids == sorted(ids)


_place = attrgetter("time", "id")
