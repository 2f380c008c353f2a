"""The tables of one statement, in one environment: what columns they have, and where their events lie.

One session reads all of it, so the statement sees one state of the store (on MongoDB: nothing older than when
it began). Revisions of days are read before anything else, those of hours when a scan comes to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cube.model.tier import DAY, EVER, HOUR, Span
from cube.store.bucket_revisions import BucketRevisions
from cube.store.ports import ReadSession, Revisions
from cube.store.read_options import TimeSlice
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.sql import arrow_columns
from evaluator.sql.column_types import NOTHING, ColumnType
from evaluator.sql.fields import ID, MILLISECONDS, OWN, TIME, KnownFields, sample, unique
from evaluator.sql.messages import Table

EVERYTHING: Final = DAY.cover(EVER)


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads an environment's events: one session, and what is kept of them."""

    session: ReadSession
    time_slice: TimeSlice
    blocks: StoreBlocks | None


class TypeTable:
    """One type's events as a table; ``schema``: its name in SQL, as ``name`` is."""

    def __init__(self, reader: Reader, schema: str, name: str, type: str, known: KnownFields) -> None:
        self.schema = schema
        self.name = name
        self.type = type
        self.fields: dict[str, str] = {}
        self._reader = reader
        self._known = known
        self._revisions = Revisions()
        self._types: dict[str, ColumnType] = {}

    async def open(self, sampled: int) -> None:
        """Read what days there are, and what fields; ``sampled``: of so many of the newest events."""
        session, known = self._reader.session, self._known
        self._revisions = await session.revisions(self.type, DAY, EVERYTHING)
        state = hash(
            (tuple(sorted(self._revisions.numbers.items())), self._revisions.expired_before, sampled)
        )
        if known.state != state or self._is_untold:
            known.sampled = await sample(
                session, self._reader.time_slice, self.type, self._unexpired(EVERYTHING), sampled
            )
            known.state = state
        self._name_columns()

    def described(self) -> Table:
        """Return what the process that runs the statement is told."""
        import pyarrow as pa

        fields = [(TIME, pa.timestamp("us", "UTC")), (MILLISECONDS, pa.int64()), (ID, pa.string())]
        fields += [(name, arrow_columns.arrow_type(self._types[each])) for name, each in self.fields.items()]
        edges = [(span.start, span.stop) for span in self.spans()]
        return Table(self.schema, self.name, pa.schema(fields).serialize().to_pybytes(), edges)

    def knows(self, name: str) -> bool:
        """Tell whether there is a column of a name."""
        return name.casefold() in {each.casefold() for each in (*OWN, *self.fields)}

    def meet(self, name: str, type: ColumnType, span: Span) -> None:
        """Note that a field has values of a type in a span of a day."""
        day = DAY.floor(span.start)
        self._known.meet(name, type, day, self._revisions.numbers.get(day, 0))

    def unproven(self, paths: Sequence[str], span: Span) -> tuple[str, ...]:
        """Return the fields whose columns are not known to hold all of the day of a span."""
        day = DAY.floor(span.start)
        number = self._revisions.numbers.get(day)
        if number is None or self._is_untold or span.stop > day + DAY.step:
            return tuple(paths)
        return tuple(path for path in paths if not self._known.fits(path, self.type_of(path), day, number))

    def prove(self, paths: Sequence[str], spans: Sequence[Span]) -> None:
        """Note that the columns of fields hold all values in some spans, as far as these are whole days."""
        whole = [] if self._is_untold else list(joined(spans))
        for day, number in self._revisions.numbers.items():
            covered = self._unexpired(Span(day, day + DAY.step))
            if any(span.start <= covered.start and covered.stop <= span.stop for span in whole):
                for path in paths:
                    self._known.fit(path, self.type_of(path), day, number)

    def refresh(self) -> None:
        """Take up what was met."""
        self._name_columns()

    def type_of(self, name: str) -> ColumnType:
        return self._types.get(name, NOTHING)

    @property
    def reader(self) -> Reader:
        return self._reader

    @property
    def is_kept(self) -> bool:
        """Whether blocks are kept of it."""
        return self._reader.blocks is not None and not self._is_untold

    async def eventful_hours(self, span: Span) -> BucketRevisions:
        """Return the hours of a span that have events which have not expired, with their revisions."""
        found = await self._reader.session.revisions(self.type, HOUR, HOUR.cover(span))
        first = max(span.start, self._revisions.expired_before or span.start)
        return found.numbers.part(Span(first, span.stop))

    def spans(self) -> list[Span]:
        """Return the spans that may have events: days, or all there is."""
        days = (Span(day, day + DAY.step) for day in sorted(self._revisions.numbers))
        spans = map(self._unexpired, [EVERYTHING] if self._is_untold else days)
        return [span for span in spans if span]

    def _unexpired(self, span: Span) -> Span:
        return Span(max(span.start, self._revisions.expired_before or span.start), span.stop)

    @property
    def _is_untold(self) -> bool:
        """Whether revisions do not tell where events are: another tool writes them."""
        return self._revisions.foreign or not self._revisions.complete

    def _name_columns(self) -> None:
        types = self._known.types(None if self._is_untold else self._revisions.numbers)
        # Few capitals first, so that "status" has its name beside "Status".
        ordered = sorted(types, key=lambda name: (name.casefold(), sum(map(str.isupper, name)), name))
        names = unique(each for each in ordered if "\0" not in each)
        self.fields = {own: each for each, own in names.items()}
        self._types = types


def joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Join spans that follow each other; empty ones are left out."""
    open_span: Span | None = None
    for span in spans:
        if not span:
            continue
        if open_span is not None and open_span.stop == span.start:
            open_span = Span(open_span.start, span.stop)
            continue
        if open_span is not None:
            yield open_span
        open_span = span
    if open_span is not None:
        yield open_span
