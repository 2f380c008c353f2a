"""Records become events: where their type, time and id are, and what is kept of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from cube.errors import InvalidEvent, InvalidRequest, described, shown
from cube.importing import times
from cube.importing.quick_events import QuickTexts, of_events, of_records
from cube.importing.record import Format, SourceRecord
from cube.importing.times import TimeReading
from cube.json_text import encode
from cube.model import instant
from cube.model.event import KEYS, MAX_INTEGER, MIN_INTEGER, Event

_SQUARE: Final = {"_id": "id", "t": "time", "d": "data"}
_MAX_TOLD = 12
_EXTENDED = b'"$'
_OTHERS = re.compile(r"[^a-zA-Z0-9_]+")


class ImportedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event to be sent: its JSON, of which record it is, and the id made for that."""

    record: SourceRecord
    made_id: bytes
    text: bytes


class Shape(Enum):
    """What the records of a file are."""

    EVENT = "event"
    """An event as Cube has it: ``{type?, time, id?, data?}``."""

    SQUARE = "document"
    """A document of a database of Square's Cube, or ours: ``{_id, t, d}``."""

    DATA = "data"
    """Any object: the data of an event."""


@dataclass(slots=True)
class EventMaker:
    """Makes events of the records of one file.

    ``type``: of all; ``otherwise``: of those that have none, where that is None. ``time``, ``id``: paths;
    None to find the time by its name, and to make ids. ``now``: events have no time of their own, but that of
    their arrival, which an event that is stored keeps. ``shape``, ``found_time``: of all records, and the
    field with their time, once `look` has found out.
    """

    type: str | None
    otherwise: str
    time: str | None
    id: str | None
    reading: TimeReading
    now: bool = False
    shape: Shape | None = None
    found_time: str | None = None

    def look(self, form: Format, record: SourceRecord) -> bool:
        """Find out what a file's records are, by the first that tells; return whether that is done."""
        try:
            value = _object(form, record)
        except InvalidRequest:
            return False
        if self.shape is None:
            self.shape = Shape.DATA if self.time is not None else _shape(value, typed=self.type is not None)
        if self.shape is Shape.DATA and self.time is None and not self.now:
            self.found_time = times.name_of(value)
            return self.found_time is not None
        return True

    def quick(self) -> QuickTexts | None:
        """Return what makes events of many records by their JSON, after `look`; None where nothing does."""
        if self.shape is Shape.EVENT and self.id is None and not self.now:
            return of_events(self.type, self.otherwise, self.reading)
        if self.shape is Shape.DATA:
            time = None if self.now else self.time or self.found_time
            return of_records(self.type or self.otherwise, time, self.id, self.reading)
        return None

    def event(self, form: Format, record: SourceRecord, made_id: bytes, arrived: int) -> ImportedEvent:
        """Make the event of a record, and check it; raises `InvalidRequest` with what is wrong."""
        value = _object(form, record)
        raw = self._raw(value, made_id.decode())
        data, changed = raw.get("data"), not form.is_json or _EXTENDED in record.content
        try:
            Event.parse(raw, now=arrived, unit_known=True)
        except InvalidEvent:
            raw = {**raw, "data": storable(data)} if "data" in raw else raw
            Event.parse(raw, now=arrived, unit_known=True)
            data, changed = raw.get("data"), True
        text = record.content if data is value and not changed else encode(data) if "data" in raw else None
        return ImportedEvent(record, made_id, _text(raw, text))

    def _raw(self, value: dict[str, Any], made_id: str) -> dict[str, Any]:
        """Return an event as `Event.parse` takes it, with the time as a number."""
        raw = self._shaped(value)
        raw["type"] = self.type or raw.get("type", self.otherwise)
        if self.now:
            raw.pop("time", None)
        elif "time" not in raw:
            raise InvalidRequest("The event has no time; accepted is one with a time, or --now.")
        else:
            raw["time"] = self.reading.read(raw["time"])
        if self.id is not None:
            raw["id"] = _id_at(value, self.id)
        raw.setdefault("id", made_id)
        return raw

    def _shaped(self, value: dict[str, Any]) -> dict[str, Any]:
        if self.shape is Shape.EVENT:
            return dict(value)
        if self.shape is Shape.SQUARE:
            return {name: value[key] for key, name in _SQUARE.items() if key in value}
        return {"data": value} if self.now else {"time": self._time_of(value), "data": value}

    def _time_of(self, value: dict[str, Any]) -> Any:
        name = self.time or self.found_time
        found = None if name is None else at(value, name)
        if found is None:
            raise InvalidRequest(_no_time(value, name))
        return found


def _object(form: Format, record: SourceRecord) -> dict[str, Any]:
    if record.error is not None:
        raise InvalidRequest(record.error)
    value = form.value(record)
    if not isinstance(value, dict):
        raise InvalidRequest(f"Got {described(value)}; accepted is an object.")
    if not (form.is_json and _EXTENDED in record.content):
        return value
    plain: dict[str, Any] = _plain(value)
    if isinstance(value.get("id"), dict) and _shape(value, typed=False) is Shape.EVENT:
        plain["id"] = value["id"]  # one that Cube has made, which stays what it is
    return plain


def at(record: Mapping[str, Any], path: str) -> Any:
    """Return the value of a property of that name, else at a path such as ``user.id`` or ``items.0.id``.

    None where there is none, or null.
    """
    if path in record:
        return record[path]
    value: Any = record
    for name in path.split("."):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def storable(value: Any) -> Any:
    """Return data with what events may not have as what they may.

    Numbers that are not finite, as DuckDB and Python write them, become null; integers beyond 64 bits, and
    numbers beyond a double, text.
    """
    match value:
        case dict():
            return {name: storable(item) for name, item in value.items()}
        case list():
            return [storable(item) for item in value]
        case float() if not math.isfinite(value):
            return None if type(value) is float else repr(value)
        case int() if not MIN_INTEGER <= value <= MAX_INTEGER:
            return str(value)
        case _:
            return value


def type_of(name: str) -> str:
    """Return the type of events of a file that is not told another: ``web-log.json.gz`` has ``web_log``.

    ``request_events.json``, as MongoDB's tools name a dump of Square's Cube, has ``request``.
    """
    plain = _OTHERS.sub("_", name.partition(".")[0]).strip("_").removesuffix("_events")
    plain = plain[:1].lower() + plain[1:]
    return plain[:60] if plain[:1].isalpha() else f"import_{plain}"[:60].strip("_")


def _shape(value: dict[str, Any], *, typed: bool) -> Shape:
    """Tell what a record is, by its keys; ``typed``: whether the type of all is given."""
    if "t" in value and _SQUARE.keys() >= value.keys():
        return Shape.SQUARE
    named = isinstance(value.get("type"), str)
    is_event = (named or "time" in value) if "data" in value else named and "time" in value and not typed
    return Shape.EVENT if is_event and KEYS.issuperset(value) else Shape.DATA


def _plain(value: Any) -> Any:
    """Return data with the values of MongoDB's extended JSON; times as text."""
    from cube.store.mongo.extended_json import plain_values

    return plain_values(value)


def _id_at(value: dict[str, Any], path: str) -> Any:
    found = at(value, path)
    if found is None:
        raise InvalidRequest(f"There is no id at {shown(path)}; accepted is a record with one.")
    return found


def _text(raw: dict[str, Any], data: bytes | None) -> bytes:
    head = b'{"type":"%b","id":%b' % (raw["type"].encode(), encode(raw["id"]))
    if "time" in raw:
        head += b',"time":%b' % _time_text(raw["time"])
    return head + b"}" if data is None else b'%b,"data":%b}' % (head, data)


def _time_text(time: int) -> bytes:
    """Return a time as a collector takes it: it refuses numbers near 1970, which may be seconds."""
    return (
        b"%d" % time if abs(time) >= instant.EARLIEST_PLAUSIBLE else b'"%b"' % instant.format(time).encode()
    )


def _no_time(value: dict[str, Any], name: str | None) -> str:
    fields = [shown(each) for each in value]
    told = ", ".join(fields[:_MAX_TOLD]) + (", …" if len(fields) > _MAX_TOLD else "")
    if name is None:
        likely = times.likely(value)
        problem = "None of its fields is known to be a time: name that with --time, or give --now"
        problem += "" if likely is None else f" ({shown(likely)} may be one)"
    else:
        problem = f"There is no time at {shown(name)}: accepted is a record with one"
    return f"{problem}. It has {told or 'none'}.{_hint(value)}"


def _hint(value: dict[str, Any]) -> str:
    """Name an array in a record that is rather a file of records than one."""
    for name, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            return f" Its {shown(name)} are {len(item)} objects: --records {name} reads these."
    return ""
