"""The shortest way in: batches of events that all have one shape, as one program's have, stay text.

The decoder gets a struct for the names of such events, so it makes no dictionaries, and refuses an event that
has others. What it found is encoded once more: is that the text again, there is no other order, no name
twice, no blank, escape or number that the store would have written otherwise. So the text of the data
is stored as it is. Everything else goes the plain way, or the usual one.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from collector.ingest.plain import are_all_short, has_all_within, has_plain_values
from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import MAX_INTEGER, MIN_INTEGER, is_type
from cube.model.event_run import RUN_MS, EventRun, EventRuns
from cube.model.made_id import make_consecutive_ids

LEAST_EVENTS: Final = 32
"""Of a batch, and on average of a run: fewer are not stored together either."""

_MAX_SHAPES = 256
_MAX_NAMES = 128  # of the data of one event
_MAX_KNOWN_NAMES = 8_192  # of all shapes, when they are made: some 200 bytes each
_MAX_ORDERS = 64  # different sets of names within a batch
_SHORT_BYTES = 16_384  # events of a shorter text are counted before anything else is done
_HEAD_BYTES = 4_096  # in which the first event has to end, and to which all names of a shape come at most
_LONGEST_PAUSE = 64  # batches that are not tried, where those before them had another shape after all
_KEYS = (frozenset(("type", "time", "data")), frozenset(("type", "data")))
_Scalar: TypeAlias = Annotated[int, msgspec.Meta(ge=MIN_INTEGER, le=MAX_INTEGER)] | float | str | bool | None
_first_of = json.JSONDecoder().raw_decode
_compact = msgspec.json.format
_encode = msgspec.json.Encoder().encode


class _EventData(msgspec.Struct, gc=False):
    data: dict[str, Any]


_decode_data = msgspec.json.Decoder(list[_EventData]).decode


class EventShapes:
    """The shapes of the batches that came: each is learned when it comes for the second time.

    May be used by several threads at once.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, EventShape | None] = {}
        self._names = 0

    def read(self, text: bytes, now: int, *, events: int, event_bytes: int) -> EventRun | EventRuns | None:
        """Read an array that arrived at `now`, of so many events at most, none longer.

        None is any text that goes another way.
        """
        content = text.strip()
        if len(content) < _SHORT_BYTES and content.count(b'"type"') < LEAST_EVENTS:
            return None
        shape = self._shape(content)
        return None if shape is None else shape.read(content, now, events=events, event_bytes=event_bytes)

    def _shape(self, text: bytes) -> EventShape | None:
        """Return the shape of an array's first event, if it is known."""
        if text[:2] != b"[{":
            return None
        try:
            first, _ = _first_of(text[1:_HEAD_BYTES].decode(errors="replace"))
        except (ValueError, RecursionError):
            return None
        type, time, data = first.get("type"), first.get("time"), first.get("data")
        if first.keys() not in _KEYS or not isinstance(type, str) or not isinstance(data, dict):
            return None
        key = (type, time.__class__, len(first), *first, *data)
        shape = self._known.get(key)
        return self._learn(key, first) if shape is None else shape

    def _learn(self, key: Hashable, event: Mapping[str, Any]) -> EventShape | None:
        data = event["data"]
        if not is_type(event["type"]) or not all(data) or not 0 < len(data) <= _MAX_NAMES:
            return None
        if "time" in event and event["time"].__class__ not in (int, str):
            return None
        if key not in self._known:
            if len(self._known) >= _MAX_SHAPES or self._names >= _MAX_KNOWN_NAMES:
                self._known.clear()
                self._names = 0
            self._names += len(data)
            self._known[key] = None
            return None
        shape = self._known[key] = EventShape(event)
        return shape


class EventShape:
    """The shape of an event: its type and keys, in which form it has a time, and the names in its data.

    Where others of a batch have more names, or less, it is widened: of its names, in their one order, each
    may be left out. *Flat* is a shape whose data are texts, numbers, true, false and null.
    """

    def __init__(self, event: Mapping[str, Any]) -> None:
        """Make the shape of one event."""
        self._event = event
        self._names = list(event["data"])
        self._is_flat = _is_flat(event["data"])
        self._is_wide = False
        self._mark = b'},{"%s"' % next(iter(event)).encode()  # in a string there is no quote before a key
        self._decode = self._decoder()
        self._misses = 0
        self._pause = 0

    def read(self, text: bytes, now: int, *, events: int, event_bytes: int) -> EventRun | EventRuns | None:
        """Do what `EventShapes.read` does with a text whose first event has this shape."""
        if self._pause > 0:  # where threads meet it may get below
            self._pause -= 1
            return None
        found = self._decoded(text)
        if found is None and self._widen(text):
            found = self._decoded(text)
        runs = None
        if found is not None and LEAST_EVENTS <= len(found) <= events and self._is_written(text, found):
            runs = self._runs(found, now) if self._is_plain(text, len(found), event_bytes) else None
        self._misses = 0 if runs is not None else self._misses + 1
        self._pause = min(2**self._misses - 1, _LONGEST_PAUSE)
        return runs

    def _decoder(self) -> Callable[[bytes], list[Any]] | None:
        """Return what decodes arrays of events of this shape; None where there is no such decoder."""
        kind: Any = _Scalar if self._is_flat else Any
        places = {f"value{place}": name for place, name in enumerate(self._names)}
        fields: list[Any] = [(place, kind) for place in places]
        if self._is_wide:
            fields = [(place, kind | msgspec.UnsetType, msgspec.UNSET) for place in places]
        try:
            data = msgspec.defstruct(
                "ShapedData", fields, rename=places, gc=False, forbid_unknown_fields=True
            )
        except ValueError:  # a name that JSON writes with an escape
            return None
        kinds = {"type": Literal[self._event["type"]], "time": self._time_kind(), "data": data}
        keys = [(key, kinds[key]) for key in self._event]
        event = msgspec.defstruct("ShapedEvent", keys, gc=False, forbid_unknown_fields=True)
        return msgspec.json.Decoder(list[event]).decode  # type: ignore[valid-type]  # made just now

    def _time_kind(self) -> Any:
        if isinstance(self._event.get("time"), str):
            return str
        return Annotated[int, msgspec.Meta(ge=instant.EARLIEST_PLAUSIBLE, le=instant.LATEST)]

    def _decoded(self, text: bytes) -> list[Any] | None:
        try:
            return None if self._decode is None else self._decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return None

    def _widen(self, text: bytes) -> bool:
        """Learn which names the events of a batch have beside, or do without; tell whether there are such."""
        try:
            found = _decode_data(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return False
        orders = {tuple(one.data) for one in found}
        names = _in_one_order(self._names, orders)
        if names is None or not all(names) or sum(map(len, names)) > _HEAD_BYTES:
            return False
        is_flat = self._is_flat and all(_is_flat(one.data) for one in found)
        is_wide = self._is_wide or any(len(order) < len(names) for order in orders)
        if (names, is_flat, is_wide) == (self._names, self._is_flat, self._is_wide):
            return False
        # In this order: what another thread decodes with the former decoder is looked at more closely.
        self._names, self._is_flat, self._is_wide = names, is_flat, is_wide
        self._decode = self._decoder()
        return True

    def _is_written(self, text: bytes, found: Sequence[Any]) -> bool:
        """Tell whether a text is what the store would write for its events, but for blanks."""
        again = _encode(found)
        return again == text or (len(again) < len(text) and again == _compact(text, indent=-1))

    def _is_plain(self, text: bytes, events: int, event_bytes: int) -> bool:
        """Tell whether what was found is surely what events may have, and no event is longer."""
        if not self._is_flat:
            return has_plain_values(text, events, event_bytes)
        return (
            len(text) <= event_bytes
            or has_all_within(text, self._mark, event_bytes)
            or are_all_short(text, event_bytes)
        )

    def _times(self, found: Sequence[Any], now: int) -> list[int] | None:
        """Return the times of events; None where one of them is none."""
        time = self._event.get("time")
        if time is None:
            return [now] * len(found)
        if not isinstance(time, str):
            return [one.time for one in found]
        try:
            return [instant.parse_plausible(one.time) for one in found]
        except InvalidRequest:
            return None

    def _runs(self, found: Sequence[Any], now: int) -> EventRun | EventRuns | None:
        """Part events into runs; None where these would be out of order, or short."""
        times = self._times(found, now)
        if times is None or times != sorted(times):
            return None
        type, timed = self._event["type"], "time" in self._event
        starts = _starts(times)
        if len(starts) * LEAST_EVENTS > len(times):
            return None
        runs = [
            EventRun(
                type,
                times[start:stop],
                make_consecutive_ids(stop - start),
                _encode([one.data for one in found[start:stop]]),
                timed=timed,
            )
            for start, stop in zip(starts, [*starts[1:], len(times)], strict=True)
        ]
        return runs[0] if len(runs) == 1 else EventRuns(type, runs)


def _is_flat(data: Mapping[str, Any]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in data.values())


def _in_one_order(names: Sequence[str], orders: Collection[tuple[str, ...]]) -> list[str] | None:
    """Return names and those of others as all of them have them; None where they differ, or are many."""
    if len(orders) > _MAX_ORDERS:
        return None
    merged = list(names)
    for order in sorted(orders):
        place = 0
        for name in order:
            if name not in merged:
                if len(merged) == _MAX_NAMES:  # more would take quadratic time
                    return None
                merged.insert(place, name)
            elif merged.index(name) < place:
                return None
            place = merged.index(name) + 1
    return merged


def _starts(times: Sequence[int]) -> list[int]:
    """Return the places where the seconds of ordered times begin."""
    starts, last = [0], times[-1]
    end = times[0] // RUN_MS * RUN_MS + RUN_MS
    while last >= end:
        start = bisect_left(times, end, starts[-1])
        starts.append(start)
        end = times[start] // RUN_MS * RUN_MS + RUN_MS
    return starts
