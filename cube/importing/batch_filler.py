"""Records become batches of events: the first ones looked at whole, the others a thousand at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

from cube.errors import InvalidRequest
from cube.importing.delimited import DelimitedTable
from cube.importing.event_maker import EventMaker, ImportedEvent
from cube.importing.quick_events import QuickTexts
from cube.importing.record import Format, NothingFits, SourceRecord
from cube.importing.sender import ImportBatch

LOOKED_AT: Final = 100
"""Where none of a file's first so many records is an event, none of them is taken."""


class BatchFiller:
    """Puts the events of one file's records into batches. ``stores``: whether they are sent to a collector.

    ``good``: how many records have turned out to be events when they were looked at whole; ``bad``: of the
    first, those that have not, with the reasons.
    """

    def __init__(self, name: str, form: Format, maker: EventMaker, good: int, *, stores: bool) -> None:
        self.good = good
        self.bad: list[tuple[SourceRecord, str]] = []
        self._name = name
        self._form = form
        self._maker = maker
        self._stores = stores
        self._arrived = int(time.time() * 1000)
        self._looked = False
        self._quick: QuickTexts | None = None

    def look(self, run: Sequence[SourceRecord]) -> None:
        """Find out what the records are, once one tells."""
        if self._looked:
            return
        self._looked = any(self._maker.look(self._form, record) for record in run)
        if self._looked and self._stores:
            self._quick = self._maker.quick()

    def put(self, batch: ImportBatch, run: Sequence[SourceRecord], made_ids: Sequence[bytes]) -> None:
        """Put the events of records into a batch, by their texts alone where that does.

        The first ones are checked here, so that a file of which nothing fits is known before any is sent.
        """
        for place, (record, made_id) in enumerate(zip(run, made_ids, strict=True)):
            if self._quick is not None and self.good >= LOOKED_AT:
                self._put_quickly(batch, run[place:], made_ids[place:], self._quick)
                return
            self._take(batch, record, made_id)

    def _put_quickly(
        self, batch: ImportBatch, run: Sequence[SourceRecord], made_ids: Sequence[bytes], quick: QuickTexts
    ) -> None:
        texts = quick(self._texts(run), made_ids)
        if None not in texts:
            batch.events += map(ImportedEvent, run, made_ids, cast("list[bytes]", texts))
            batch.size += sum(map(len, texts))  # type: ignore[arg-type]  # none of them is None
            batch.checked = False
            return
        for record, made_id, text in zip(run, made_ids, texts, strict=True):
            if text is None:
                self._take(batch, record, made_id)
                continue
            batch.events.append(ImportedEvent(record, made_id, text))
            batch.size += len(text)
            batch.checked = False

    def _texts(self, run: Sequence[SourceRecord]) -> list[bytes | None]:
        """Return records as JSON; None for those that have none."""
        if all(record.error is None for record in run):
            try:
                return self._form.texts(run)
            except UnicodeError:
                pass
        return [self._text(record) for record in run]

    def _text(self, record: SourceRecord) -> bytes | None:
        with suppress(UnicodeError):
            return None if record.error is not None else self._form.texts([record])[0]
        return None

    def _take(self, batch: ImportBatch, record: SourceRecord, made_id: bytes) -> None:
        """Put the event of a record into a batch, or the reason why there is none."""
        try:
            event = self._maker.event(self._form, record, made_id, self._arrived)
        except InvalidRequest as error:
            self._refuse(batch, record, f"{error.message}{self._encoding_hint(record)}")
            return
        batch.events.append(event)
        batch.size += len(event.text)
        self.good += 1

    def _encoding_hint(self, record: SourceRecord) -> str:
        if not isinstance(self._form, DelimitedTable):
            return ""
        try:
            record.content.decode()
        except UnicodeDecodeError:
            return " It may be --encoding cp1252."
        return ""

    def check(self, batch: ImportBatch) -> None:
        """Make a batch's events once more, and check them."""
        made, batch.events, batch.checked = batch.events, [], True
        for event in made:
            self._take(batch, event.record, event.made_id)

    def _refuse(self, batch: ImportBatch, record: SourceRecord, reason: str) -> None:
        batch.rejected.append((record, reason))
        if self.good:
            return
        self.bad.append((record, reason))
        if len(self.bad) == LOOKED_AT:
            raise self.nothing_fits()

    def nothing_fits(self) -> NothingFits:
        record, reason = self.bad[0]
        counts, number = self._form.counts, len(self.bad)
        none = f"none of its first {number} {counts}s is" if number > 1 else f"its {counts} is not"
        return NothingFits(
            f"Nothing of {self._name} is imported: {none} an event as it is read. {counts.capitalize()}"
            f" {record.number}: {reason}"
        )
