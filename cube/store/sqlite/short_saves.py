"""Saves of few events: one statement, which is a transaction of its own.

Python's sqlite3 gives up the interpreter's lock at each statement, and has to wait for it again beside an
event loop that is busy: a save of eight events in six statements waits for longer than it works. So a save
that nothing is unusual about is one INSERT into a view, whose trigger looks whether all is as it was, stores
the events and raises their buckets. Whatever is not so fails as a whole, and is done the usual way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cube.model.event import ABSENT, Event
from cube.model.tier import cached_steps
from cube.store.sqlite import catalog, packs, saving
from cube.store.sqlite.catalog import TypeEntry
from cube.store.sqlite.writer import Write

MOST_EVENTS: Final = packs.MIN_EVENTS - 1
"""Of one save; larger ones may be packed, and wait for the lock but seldom."""

MOST_TYPES: Final = 200
"""Each has a view and a trigger in the connection's memory, and some prepared statements."""

_MOST_ROWS: Final = 192
_ROWS_STEP: Final = 8
"""Rows of a statement are a multiple of it, so that prepared ones are used again."""

_USUAL_SAVES: Final = 20
"""After one that replaced events, for the next ones will do so as well."""

_TYPE, _MADE, _EVENT, _BUCKET = range(4)

_VIEW: Final = "CREATE TEMP VIEW IF NOT EXISTS {view} AS SELECT 0 AS kind, 0 AS a, 0 AS b, 0 AS c WHERE 0"
_TRIGGER: Final = """CREATE TEMP TRIGGER {view}_insert INSTEAD OF INSERT ON {view} BEGIN
    SELECT RAISE(ABORT, 'unusual') WHERE new.kind = {type} AND NOT EXISTS (SELECT 1 FROM types
        WHERE name = new.a AND number = {number} AND known AND complete AND tiers = '{tiers}'
        AND expired_before IS new.b);
    SELECT RAISE(ABORT, 'unusual') WHERE new.kind = {made}
        AND EXISTS (SELECT 1 FROM {packs} WHERE last_id >= new.a AND last_id <= new.b);
    INSERT INTO {events} (time, id, data) SELECT new.a, new.b, new.c WHERE new.kind = {event};
    INSERT INTO {revisions} (step, bucket, number) SELECT new.a, new.b, {increment} WHERE new.kind = {bucket}
        ON CONFLICT DO UPDATE SET number = {raised};
END"""

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class KnownType:
    """A type that has a view; ``usual``: how many saves more are done the usual way."""

    entry: TypeEntry
    view: str
    usual: int = 0


@dataclass(frozen=True, slots=True)
class ShortSave:
    """A save of few events of a type, which is its ``kind``; see `cube.store.sqlite.writer.ShortWrite`."""

    saves: ShortSaves
    kind: str
    events: Sequence[Event]

    def joined(self, others: Sequence[ShortSave]) -> ShortSave:
        events = [*self.events, *(event for other in others for event in other.events)]
        return ShortSave(self.saves, self.kind, events)

    def at_once(self, connection: sqlite3.Connection) -> bool:
        return self.saves.save(self.kind, self.events, connection)

    def prepare(self) -> Write[None]:
        return saving.SaveBatch.of(self.kind, self.events).write


class ShortSaves:
    """Saves few events through one connection, in the thread that writes."""

    def __init__(self) -> None:
        self._known: dict[str, KnownType] = {}

    def save(self, type: str, events: Sequence[Event], connection: sqlite3.Connection) -> bool:
        """Store events and raise their buckets; call it outside of any transaction.

        Returns False, with nothing written, where it has to be done the usual way: there are many events,
        one is stored already or may be, one has expired, the type is new, or was changed. Raises
        `sqlite3.Error`.
        """
        if len(events) > MOST_EVENTS:
            return False
        known = self._known.get(type) or self._learn(type, connection)
        values = None if known is None else _values(type, known, events)
        if known is None or values is None:
            return False
        try:
            connection.execute(*_statement(known.view, values))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
                del self._known[type]  # what was changed is learned anew
            else:
                known.usual = _USUAL_SAVES
            return False
        return True

    def _learn(self, type: str, connection: sqlite3.Connection) -> KnownType | None:
        entry = catalog.find(connection, type)
        if entry is None or not entry.known or not entry.complete or len(self._known) >= MOST_TYPES:
            return None
        view = f"save_{entry.number}"
        trigger = "SELECT 1 FROM temp.sqlite_master WHERE name = ?"  # it is made last
        if connection.execute(trigger, (f"{view}_insert",)).fetchone() is None:
            connection.execute(_VIEW.format(view=view))
            connection.execute(
                _TRIGGER.format(
                    view=view,
                    number=entry.number,
                    tiers=" ".join(map(str, cached_steps())),
                    events=entry.events,
                    packs=entry.packs,
                    revisions=entry.revisions,
                    increment=saving.INCREMENT,
                    raised=saving.RAISED,
                    type=_TYPE,
                    made=_MADE,
                    event=_EVENT,
                    bucket=_BUCKET,
                )
            )
        known = self._known[type] = KnownType(entry, view)
        return known


def _values(type: str, known: KnownType, events: Sequence[Event]) -> list[Any] | None:
    """Return (kind, a, b, c) of what is checked, the events and their buckets; None for unusual ones."""
    if known.usual:
        known.usual -= 1
        return None
    times = [event.time for event in events]
    expired = known.entry.expired_before
    if expired is not None and min(times) < expired:
        return None
    values: list[Any] = [_TYPE, type, expired, None]
    made: list[bytes] = []
    for event in {event.id: event for event in events}.values():  # of equal ids the last
        id, data = event.id, event.data
        if id.__class__ is bytes:
            made.append(id)
        values += (_EVENT, event.time, id, None if data is ABSENT else _encode(data).decode())
    for first, last in packs.later(made):
        values += (_MADE, first, last, None)
    for step, start in saving.buckets(times):
        values += (_BUCKET, step, start, None)
    return values if len(values) <= 4 * _MOST_ROWS else None


def _statement(view: str, values: list[Any]) -> tuple[str, list[Any]]:
    """Return the statement and its values; the last bucket is raised again until rows are a multiple."""
    missing = -(len(values) // 4) % _ROWS_STEP
    values += values[-4:] * missing
    return f"INSERT INTO {view} VALUES {','.join(['(?,?,?,?)'] * (len(values) // 4))}", values  # noqa: S608 - our name
