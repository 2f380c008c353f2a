"""Events of JSON records as text, many at once, and without a look at their data: no less safe.

The JSON of records goes on as it stands, and of what is in it only the times are read. What is wrong with the
rest says the collector, which looks at all of it; such a batch is then made once more by `EventMaker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from cube.errors import InvalidRequest
from cube.importing.times import TimeReading
from cube.model import instant

QuickTexts = Callable[[Sequence[bytes | None], Sequence[bytes]], list[bytes | None]]
"""Makes the texts of events of records' JSON and ids; None where `EventMaker` has to look at a record."""

_EXTENDED: Final = b'"$'  # what MongoDB's extended JSON has, and hardly anything else
_MADE_ID: Final = b'{"$oid":'  # how an id begins that Cube has made, in its exports
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidRequest)
_PARTS: Final = 10

_Make = Callable[[Sequence[bytes], Sequence[bytes]], list[bytes]]
"""Makes texts of all records, or raises one of `_UNREADABLE`."""


def of_records(type: str, time: str | None, id: str | None, reading: TimeReading) -> QuickTexts | None:
    """Return what makes events of which records are the data; ``time``, ``id``: names or paths of properties.

    None where a path may lead through an array, or two begin with one name.
    """
    paths = {key: path for key, path in (("time", time), ("id", id)) if path is not None}
    found_type = _found_type(paths)
    if found_type is None:
        return None
    decoder = msgspec.json.Decoder(list[found_type])  # type: ignore[valid-type]  # made for these paths
    getters = {key: attrgetter(key + ".within" * path.count(".")) for key, path in paths.items()}
    literal = [f"literal_{key}" for key, path in paths.items() if "." in path]
    head = b'{"type":"%b","id":' % type.encode()

    def make(contents: Sequence[bytes], ids: Sequence[bytes]) -> list[bytes]:
        found = _decoded(decoder, contents)
        if any(getattr(each, field) is not None for field in literal for each in found):
            raise InvalidRequest("The path is a name here.")
        own: Any = [b'"%b"' % id for id in ids] if id is None else map(getters["id"], found)
        if time is None:
            return [b'%b%b,"data":%b}' % (head, *each) for each in zip(own, contents, strict=True)]
        moments = _moments(reading, [*map(getters["time"], found)])
        rows = zip(own, moments, contents, strict=True)
        return [b'%b%b,"time":%d,"data":%b}' % (head, *row) for row in rows]

    return _in_parts(make)


class _OwnEvent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    time: Any
    data: msgspec.Raw
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def of_events(type: str | None, otherwise: str, reading: TimeReading) -> QuickTexts:
    """Return what makes events of events; ``type``: of all, ``otherwise``: of those that have none."""
    decoder = msgspec.json.Decoder(list[_OwnEvent])
    fixed = None if type is None else b'"%b"' % type.encode()
    default = b'"%b"' % otherwise.encode()

    def make(contents: Sequence[bytes], ids: Sequence[bytes]) -> list[bytes]:
        found = _decoded(decoder, contents, _made_ids)
        moments = _moments(reading, [each.time for each in found])
        return [
            b'{"type":%b,"id":%b,"time":%d,"data":%b}'
            % (
                fixed or (default if event.type is msgspec.UNSET else event.type),
                b'"%b"' % id if event.id is msgspec.UNSET else event.id,
                moment,
                event.data,
            )
            for event, id, moment in zip(found, ids, moments, strict=True)
        ]

    return _in_parts(make)


def _found_type(paths: Mapping[str, str]) -> type | None:
    """Return what is read of a record; ``literal_…``: what is called as a whole path is."""
    names = {key: path.split(".") for key, path in paths.items()}
    called = [name[0] for name in names.values()] + [path for path in paths.values() if "." in path]
    if len(set(called)) < len(called) or any(part.isdigit() for name in names.values() for part in name[1:]):
        return None
    fields: list[Any] = []
    for key, name in names.items():
        kind: Any = Any if key == "time" else msgspec.Raw
        for part in reversed(name[1:]):
            kind = msgspec.defstruct("Within", [("within", kind)], rename={"within": part}, gc=False)
        fields.append((key, kind))
    literal = {f"literal_{key}": path for key, path in paths.items() if "." in path}
    fields += [(field, Any, None) for field in literal]
    rename = {key: name[0] for key, name in names.items()} | literal
    return msgspec.defstruct("Found", fields, rename=rename, gc=False)


def _decoded(
    decoder: msgspec.json.Decoder[list[Any]],
    contents: Sequence[bytes],
    extended: Callable[[Sequence[Any]], int] = lambda found: 0,
) -> list[Any]:
    """Read records at once. A text of what is not one value is not JSON, so that the collector refuses it.

    ``extended``: tells how many objects of extended JSON in them may stay as they are.
    """
    joined = b"[%b]" % b",".join(contents)
    found = decoder.decode(joined)
    marks = joined.count(_EXTENDED)
    if len(found) != len(contents) or (marks and marks != extended(found)):
        raise InvalidRequest("These records are to be looked at one by one.")
    return found


def _made_ids(events: Sequence[_OwnEvent]) -> int:
    """Return how many of some events have an id that Cube has made."""
    ids = (event.id for event in events)
    return sum(isinstance(id, msgspec.Raw) and bytes(id).startswith(_MADE_ID) for id in ids)


def _moments(reading: TimeReading, values: list[Any]) -> list[int]:
    moments = reading.read_all(values)
    if min(moments) < instant.EARLIEST_PLAUSIBLE:
        raise InvalidRequest("Collectors take such a time as text alone.")
    return moments


def _in_parts(make: _Make) -> QuickTexts:
    """Return what makes texts of all records at once, or where that fails in smaller and smaller parts."""

    def texts(contents: Sequence[bytes | None], ids: Sequence[bytes]) -> list[bytes | None]:
        if None not in contents:
            try:
                return [*make(contents, ids)]  # type: ignore[arg-type]  # none of them is None
            except _UNREADABLE:
                pass
        if len(contents) == 1:
            return [None]
        size = -(-len(contents) // _PARTS)
        starts = range(0, len(contents), size)
        return [
            text
            for start in starts
            for text in texts(contents[start : start + size], ids[start : start + size])
        ]

    return texts
