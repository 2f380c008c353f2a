"""Events of JSON records as text, without a look at their data: several times as fast, and no less safe.

The JSON of a record goes on as it stands, and of what is in it only the time is read. What is wrong with the
rest says the collector, which looks at all of it; such a batch is then made once more by `EventMaker`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from cube.errors import InvalidRequest
from cube.importing.times import TimeReading
from cube.model import instant

QuickText = Callable[[bytes, str], bytes | None]
"""Makes the text of an event of a record's JSON and an id; None where `EventMaker` has to look at it."""

_EXTENDED: Final = b'"$'  # what MongoDB's extended JSON has, and hardly anything else
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidRequest)


def of_records(type: str, time: str | None, id: str | None, reading: TimeReading) -> QuickText | None:
    """Return what makes events of which records are the data; ``time``, ``id``: names of their properties.

    None where a name has a dot, and so may be a path, or is both.
    """
    names = {key: name for key, name in (("time", time), ("id", id)) if name is not None}
    if any("." in name for name in names.values()) or len(set(names.values())) < len(names):
        return None
    fields: list[Any] = [(key, Any if key == "time" else msgspec.Raw) for key in names]
    decode = msgspec.json.Decoder(msgspec.defstruct("Found", fields, rename=names, gc=False)).decode
    head, read = b'{"type":"%b","id":' % type.encode(), reading.read

    def text(content: bytes, made_id: str) -> bytes | None:
        if _EXTENDED in content:
            return None
        try:
            found: Any = decode(content)
            own_id = b'"%b"' % made_id.encode() if id is None else found.id
            if time is None:
                return b'%b%b,"data":%b}' % (head, own_id, content)
            moment = read(found.time)
        except _UNREADABLE:
            return None
        if moment < instant.EARLIEST_PLAUSIBLE:
            return None
        return b'%b%b,"time":%d,"data":%b}' % (head, own_id, moment, content)

    return text


class _OwnEvent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    time: Any
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def of_events(type: str | None, otherwise: str, reading: TimeReading) -> QuickText:
    """Return what makes events of events; ``type``: of all, ``otherwise``: of those that have none."""
    decode, read = msgspec.json.Decoder(_OwnEvent).decode, reading.read
    fixed = None if type is None else b'"%b"' % type.encode()
    default = b'"%b"' % otherwise.encode()

    def text(content: bytes, made_id: str) -> bytes | None:
        if _EXTENDED in content:
            return None
        try:
            event = decode(content)
            moment = read(event.time)
        except _UNREADABLE:
            return None
        if moment < instant.EARLIEST_PLAUSIBLE or event.data is msgspec.UNSET:
            return None
        name = fixed or (default if event.type is msgspec.UNSET else event.type)
        id = b'"%b"' % made_id.encode() if event.id is msgspec.UNSET else event.id
        return b'{"type":%b,"id":%b,"time":%d,"data":%b}' % (name, id, moment, event.data)

    return text
