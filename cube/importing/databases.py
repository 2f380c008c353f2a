"""Events of databases: those of Square's Cube, or of any tool with such collections, and another Cube.

Their events have ids, or get some of what they are, so that each is stored once. Both are read in order, and
the place of each event is kept, from where an interrupted import goes on.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

import msgspec

from cube.client.evaluator import Evaluator
from cube.errors import InvalidRequest
from cube.importing.record import JsonFormat, SourceRecord
from cube.json_text import encode
from cube.model import instant

_URL = re.compile(r"(mongodb(?:\+srv)?|https?)://")
PAGE_EVENTS: Final = 5_000


@runtime_checkable
class Resumable(Protocol):
    """A format whose records' values are places, from which it goes on."""

    def go_on(self, place: str, number: int) -> None:
        """Begin with what comes behind, or at, a place, and count from a number."""
        ...


def is_database(name: str) -> bool:
    """Tell whether a name is the address of a database, or of an evaluator."""
    return _URL.match(name) is not None


class DatabaseSource:
    """A database in place of a file: no size, and never damaged. ``name``: its address, without password."""

    size: int | None = None

    def __init__(self, url: str) -> None:
        head, slashes, rest = url.partition("//")
        self.name = f"{head}{slashes}{rest.rpartition('@')[2].partition('?')[0]}"

    def place(self) -> int:
        """Return 0: how far it is read nobody knows."""
        return 0

    def damage(self) -> Exception | None:
        """Return None."""
        return None

    def close(self) -> None:
        """Close nothing: readers do."""


class DatabaseFormat(JsonFormat):
    """What both databases have in common; ``type``: of the events that are wanted, None for all."""

    counts: ClassVar[str] = "event"

    def __init__(self, url: str, type: str | None) -> None:
        self._url = url
        self._type = type
        self._place = ""
        self._number = 0

    def go_on(self, place: str, number: int) -> None:
        """Begin at a place."""
        self._place, self._number = place, number

    def _record(self, event: dict[str, Any], place: str, error: str | None = None) -> SourceRecord:
        self._number += 1
        return SourceRecord(self._number, encode(event), error, place)


class SquareDatabase(DatabaseFormat):
    """The collections ``<type>_events`` of a MongoDB database, the events in the order of their ids."""

    def records(self) -> Iterator[SourceRecord]:
        """Yield the events; one whose time is no date is a record with an error."""
        from cube.store.mongo.foreign_events import foreign_events

        for event in foreign_events(self._url, self._type, self._place):
            raw = {"type": event.type, "id": event.id}
            raw |= {} if event.time is None else {"time": instant.format(event.time)}
            raw |= {"data": event.data} if event.has_data else {}
            error = (
                None if event.time is not None else "Its t is not a date; accepted is a document with one."
            )
            yield self._record(raw, event.place, error)


class _PageStart(msgspec.Struct):
    """Where a page of another Cube begins, and which events without an id came before at its first time."""

    type: str
    cursor: str = ""
    time: str = ""
    seen: dict[str, int] = {}


class OtherCube(DatabaseFormat):
    """The events of another Cube, type by type, page by page. ``key``: for it.

    An event without an id gets one of its type, time and data, and of how many equal ones came before it.
    """

    def __init__(self, url: str, type: str | None, key: str | None) -> None:
        super().__init__(url, type)
        self._key = key

    def records(self) -> Iterator[SourceRecord]:
        """Yield the events, ascending by time in each type."""
        begun = msgspec.json.decode(self._place, type=_PageStart) if self._place else _PageStart("")
        with Evaluator(self._url, key=self._key) as evaluator:
            types = evaluator.types()
            wanted = sorted(each for each in types if self._type in (None, each))
            if not wanted:
                told = ", ".join(types[:20]) or "none"
                raise InvalidRequest(
                    f"There are no events to import at {self._url}; it has the types {told}."
                )
            for type in wanted:
                if type >= begun.type:
                    yield from self._events(evaluator, begun if type == begun.type else _PageStart(type))

    def _events(self, evaluator: Evaluator, start: _PageStart) -> Iterator[SourceRecord]:
        head, seen, time = b'{"type":"%b",' % start.type.encode(), Counter(start.seen), start.time
        first, last = instant.format(instant.EARLIEST), instant.format(instant.LATEST)
        pages = evaluator.event_pages(
            f"{start.type}(*)", start=first, stop=last, limit=PAGE_EVENTS, after=start.cursor
        )
        cursor = start.cursor
        for page in pages:
            place = encode(_PageStart(start.type, cursor, time, dict(seen))).decode()
            for row in page.rows:
                content = bytes(row)
                found = msgspec.json.decode(content, type=_FoundRow)
                if found.time != time:
                    time = found.time
                    seen.clear()
                self._number += 1
                if found.id is msgspec.UNSET:
                    id = _made_id(start.type, found.time, content, seen)
                    content = b'{"id":"%b",%b' % (id.encode(), content[1:])
                yield SourceRecord(self._number, head + content[1:], None, place)
            cursor = page.cursor


class _FoundRow(msgspec.Struct):
    time: str
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _made_id(type: str, time: str, content: bytes, seen: Counter[str]) -> str:
    """Return an id of what an event is, which ascends with its time."""
    digest = hashlib.blake2b(content, digest_size=8, person=type.encode()[:16]).hexdigest()
    seen[digest] += 1
    moment = instant.parse(time) - instant.EARLIEST
    return f"{moment:012x}{digest}{seen[digest]:04x}"
