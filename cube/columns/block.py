"""Blocks: the events of one type and span of time, as columns.

A store hands the evaluator blocks; where they came from no longer shows. The semantics of filters,
values and reduces over blocks live in this package alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import cached_property, lru_cache, partial
from itertools import chain
from operator import attrgetter
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from cube.model.event import ABSENT, EventId
from cube.model.tier import Span


class Block:
    """Some events of one type, ordered by time (either way), row by row.

    ``times``: int64 milliseconds, shape (n,). ``ids``: n event ids, or None where the scan did not ask
    for them. ``data``: n decoded values: what JSON has, `datetime` for a stored date, and `ABSENT`
    for an event without data. Where the scan named fields, objects may lack all others.
    ``size``: the bytes that it was decoded from.
    ``columns``: the columns made of this block so far, so that each is made once; a block and all
    that hangs on it never change otherwise.
    ``computed``: what was computed of it, where that is kept: see `in_use`.
    ``span``: of which it is known to have all events, in ascending order; None where nothing is known.
    """

    __slots__ = ("_rows", "columns", "computed", "ids", "size", "span", "times")

    def __init__(
        self,
        times: npt.NDArray[np.int64],
        data: Sequence[Any],
        ids: Sequence[EventId] | None = None,
        *,
        size: int = 0,
    ) -> None:
        self.times = times
        self.size = size
        self.ids = ids
        self.columns: dict[Hashable, Any] = {}
        self.computed: dict[Hashable, Any] | None = None
        self.span: Span | None = None
        self._rows: _DecodedRows | _RecordRows | _ColumnRows = _DecodedRows(data)

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def from_json(
        cls,
        times: Sequence[int],
        texts: Sequence[str | None],
        ids: Sequence[EventId] | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> Block:
        """Make a block from the JSON texts of the events' data; None is `ABSENT`.

        ``fields``: the only top-level names that will be asked for (None: all); without the others
        decoding takes a fifth of the time. With () nothing is decoded and all data are `ABSENT`.
        """
        instants = np.array(times, dtype=np.int64)
        if fields is not None and not fields:
            return cls(instants, [ABSENT] * len(texts), ids)
        absent = np.array([text is None for text in texts]) if None in texts else None
        present = [text for text in texts if text is not None]
        decoded = partial(_decoded, ",".join(present), absent, filled=False)
        return cls._of_decoded(instants, decoded, ids, fields, sum(map(len, present)))

    @classmethod
    def from_joined(
        cls,
        times: npt.NDArray[np.int64],
        text: str,
        absent: npt.NDArray[np.bool_] | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> Block:
        """Make a block from the JSON texts of the events' data, joined by commas.

        ``absent``: the rows that are `ABSENT`, whatever their JSON. ``fields``: as in `from_json`.
        """
        decoded = partial(_decoded, text, absent, filled=True)
        return cls._of_decoded(times, decoded, None, fields, len(text))

    @classmethod
    def from_arrays(
        cls, times: npt.NDArray[np.int64], arrays: Sequence[str], *, fields: Sequence[str] | None = None
    ) -> Block:
        """Make a block from JSON arrays of the events' data, one behind the other; ``fields``: as above."""

        def decoded(decoder: msgspec.json.Decoder[list[Any]]) -> list[Any]:
            return list(chain.from_iterable(map(decoder.decode, arrays)))

        return cls._of_decoded(times, decoded, None, fields, sum(map(len, arrays)))

    @classmethod
    def of_columns(
        cls,
        times: npt.NDArray[np.int64],
        values: Mapping[str, Sequence[Any]],
        others: Mapping[int, Any],
        *,
        size: int,
    ) -> Block:
        """Make a block of the properties that a scan named: by name a value each row, `ABSENT` for none.

        ``others``: by row the data that are no object, and no array either.
        """
        block = cls(times, (), size=size)
        block._rows = _ColumnRows(len(times), values, others)
        return block

    @classmethod
    def _of_decoded(
        cls,
        times: npt.NDArray[np.int64],
        decoded: Callable[[msgspec.json.Decoder[list[Any]]], list[Any]],
        ids: Sequence[EventId] | None,
        fields: Sequence[str] | None,
        size: int,
    ) -> Block:
        """Make a block of rows as ``decoded`` gives them with a decoder: of named fields alone, if it can."""
        if fields is not None and not any(map(_UNDECLARED.search, fields)):
            names = tuple(dict.fromkeys(fields))
            with suppress(msgspec.ValidationError):  # some data are not objects
                rows = decoded(_record_decoder(names))
                block = cls(times, (), ids, size=size)
                block._rows = _RecordRows({name: f"p{number}" for number, name in enumerate(names)}, rows)
                return block
        return cls(times, decoded(_WHOLE), ids, size=size)

    def rows(self, start: int, stop: int) -> Block:
        """Return the rows from `start` up to `stop` as a block; all of them are this block itself."""
        if start == 0 and stop >= len(self):
            return self
        block = Block(self.times[start:stop], (), None if self.ids is None else self.ids[start:stop])
        block._rows = self._rows.part(start, stop)
        block.span = self._span_of(start, stop)
        return block

    def over(self, span: Span) -> Self:
        """Return this block as one that has all events of a span, in ascending order."""
        block = copy(self)
        block.span = span
        return block

    def in_use(self) -> Self:
        """Return this block with room for what is computed of it, so that it is once in one piece of work."""
        block = copy(self)
        block.computed = {}
        return block

    def _span_of(self, start: int, stop: int) -> Span | None:
        """Return of what some rows are all events: up to the rows beside them, without the times of those."""
        if self.span is None:
            return None
        first = int(self.times[start - 1]) + 1 if start > 0 else self.span.start
        return Span(first, int(self.times[stop]) if stop < len(self) else self.span.stop)

    @property
    def data(self) -> Sequence[Any]:
        """The events' data, one decoded value a row."""
        return self._rows.data

    @property
    def known_ids(self) -> Sequence[EventId]:
        """The ids; raises `ValueError` where the scan did not ask for them."""
        if self.ids is None:
            raise ValueError("Got a block without ids; accepted here is one of a scan that asked for them.")
        return self.ids

    def named(self, name: str) -> Sequence[Any] | None:
        """Return the property `name` of each row's data (`ABSENT` where there is none).

        None where that is not known to be all: some data may be arrays, which filters look into.
        """
        return self._rows.named(name)


class _DecodedRows:
    """Rows as they were given."""

    def __init__(self, data: Sequence[Any]) -> None:
        self.data = data

    def named(self, name: str) -> None:
        return None

    def part(self, start: int, stop: int) -> _DecodedRows:
        return _DecodedRows(self.data[start:stop])


class _RecordRows:
    """Rows decoded into structs of only the wanted names; also null, and `ABSENT`."""

    def __init__(self, attributes: dict[str, str], rows: list[Any]) -> None:
        self.attributes = attributes
        self.rows = rows

    def part(self, start: int, stop: int) -> _RecordRows:
        return _RecordRows(self.attributes, self.rows[start:stop])

    def named(self, name: str) -> list[Any]:
        attribute = self.attributes.get(name)
        if attribute is None:
            return [ABSENT] * len(self.rows)
        try:
            return list(map(attrgetter(attribute), self.rows))
        except AttributeError:  # some rows are null, or absent
            return [getattr(row, attribute, ABSENT) for row in self.rows]

    @cached_property
    def data(self) -> list[Any]:
        return [self._object(row) if isinstance(row, msgspec.Struct) else row for row in self.rows]

    def _object(self, row: msgspec.Struct) -> dict[str, Any]:
        values = ((name, getattr(row, attribute)) for name, attribute in self.attributes.items())
        return {name: value for name, value in values if value is not ABSENT}


class _ColumnRows:
    """Rows that came as columns of the wanted names."""

    def __init__(self, count: int, values: Mapping[str, Sequence[Any]], others: Mapping[int, Any]) -> None:
        self._count = count
        self._values = values
        self._others = others

    def part(self, start: int, stop: int) -> _ColumnRows:
        values = {name: column[start:stop] for name, column in self._values.items()}
        others = {row - start: data for row, data in self._others.items() if start <= row < stop}
        return _ColumnRows(len(range(self._count)[start:stop]), values, others)

    def named(self, name: str) -> Sequence[Any]:
        column = self._values.get(name)
        return [ABSENT] * self._count if column is None else column

    @cached_property
    def data(self) -> list[Any]:
        return [self._others[row] if row in self._others else self._object(row) for row in range(self._count)]

    def _object(self, row: int) -> dict[str, Any]:
        values = ((name, column[row]) for name, column in self._values.items())
        return {name: value for name, value in values if value is not ABSENT}


_UNDECLARED = re.compile(r'["\\\x00-\x1f]')
"""What msgspec takes in no name of a struct's field."""

_WHOLE: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[Any])


@lru_cache(maxsize=64)
def _record_decoder(names: tuple[str, ...]) -> msgspec.json.Decoder[list[Any]]:
    # Neutral attribute names, because a property may be called `class` or hold a `$`.
    attributes = {f"p{number}": name for number, name in enumerate(names)}
    record = msgspec.defstruct(
        "Record", [(attribute, Any, ABSENT) for attribute in attributes], rename=attributes, gc=False
    )
    return msgspec.json.Decoder(list[record | None])  # type: ignore[valid-type]  # made at run time


def _decoded(
    text: str,
    absent: npt.NDArray[np.bool_] | None,
    decoder: msgspec.json.Decoder[list[Any]],
    *,
    filled: bool,
) -> list[Any]:
    """Decode joined texts; ``filled``: absent rows have one, too, which is disregarded."""
    values = decoder.decode(f"[{text}]")
    if absent is None:
        return values
    if filled:
        for row in np.flatnonzero(absent).tolist():
            values[row] = ABSENT
        return values
    found = iter(values)
    return [ABSENT if is_absent else next(found) for is_absent in absent.tolist()]
