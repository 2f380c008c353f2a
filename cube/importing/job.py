"""An import: files one after the other, each up to its end, and where it was interrupted from there on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from cube.errors import CubeError, InvalidRequest, shown
from cube.importing.checkpoint import ImportCheckpoint
from cube.importing.databases import DatabaseSource, Resumable, is_database
from cube.importing.delimited import DelimitedTable
from cube.importing.event_maker import EventMaker, ImportedEvent
from cube.importing.formats import ImportOptions
from cube.importing.identity import RecordIds
from cube.importing.opening import opened
from cube.importing.quick_events import QuickText
from cube.importing.record import Format, NothingFits, SourceRecord
from cube.importing.rejects import Rejects
from cube.importing.sender import BatchSender, ImportBatch, Poster

LOOKED_AT: Final = 100
"""Where none of a file's first so many records is an event, none of them is taken."""

_SAVED_EVERY = 1.0  # seconds


class ImportSource(Protocol):
    """What is read: an `OpenedFile`, or a `DatabaseSource`."""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def size(self) -> int | None:
        """Its bytes, where that is known."""
        ...

    def place(self) -> int:
        """Return how many of them are read."""
        ...

    def damage(self) -> Exception | None:
        """Return what is wrong with it, once it is read."""
        ...


@dataclass(slots=True)
class ImportCounts:
    """What has become of records. ``resumed``: those that an earlier import had settled."""

    stored: int = 0
    rejected: int = 0
    resumed: int = 0


@dataclass(slots=True)
class ImportJob:
    """Imports files. ``connect``: opens a connection to the collector; None only checks.

    ``target``: what the events' place is told by. ``on_progress``: is told a file, and the counts, often.
    ``rejects``: takes what is no event, of a file; ``append`` where an import goes on.
    """

    options: ImportOptions
    target: str
    connect: Callable[[], Poster] | None
    rejects: Callable[[str, bool], Rejects]
    on_progress: Callable[[ImportSource, ImportCounts], None]
    tell: Callable[[str], None]
    counts: ImportCounts = field(default_factory=ImportCounts)

    def run(self, name: str) -> None:
        """Import a file.

        Raises `NothingFits`, and what the collector says; then all that is settled is kept, and another run
        goes on behind it. The same holds for Ctrl-C.
        """
        options = self.options.fingerprint(self.target)
        checkpoint = (
            ImportCheckpoint.of(name, options)
            if self.connect is not None
            else ImportCheckpoint.of("", options)
        )
        if is_database(name):
            FileImport(self, DatabaseSource(name), self.options.database(name), checkpoint).run()
            return
        file = opened(name)
        try:
            FileImport(self, file, self.options.form(file), checkpoint).run()
        finally:
            file.close()


class FileImport:
    """The import of one file."""

    def __init__(
        self, job: ImportJob, file: ImportSource, form: Format, checkpoint: ImportCheckpoint
    ) -> None:
        self._job = job
        self._file = file
        self._checkpoint = checkpoint
        self._form = form
        self._maker: EventMaker = job.options.maker(file.name)
        self._ids = RecordIds(checkpoint.state.keys)
        self._rejects = job.rejects(file.name, checkpoint.resumed)
        self._good = checkpoint.state.stored
        self._bad: list[tuple[SourceRecord, str]] = []
        self._arrived = int(time.time() * 1000)
        self._saved = time.monotonic()
        self._told = False
        self._quick: QuickText | None = None
        self._damage: InvalidRequest | None = None

    def run(self) -> None:
        """Import the file up to its end."""
        if self._job.connect is None:
            for batch in self._batches():
                self._settle(batch)
            return
        sender = BatchSender(self._job.connect, self._settle, self._check)
        try:
            for batch in self._batches():
                sender.send(batch)
            sender.finish()
            self._checkpoint.finish()
        except BaseException as error:
            self._keep(sender, error)
            raise
        finally:
            sender.close()
            self._rejects.close()

    def _keep(self, sender: BatchSender, error: BaseException) -> None:
        """Keep what is settled, once what is under way is."""
        try:
            if not isinstance(error, NothingFits):
                with suppress(CubeError):
                    sender.finish()
        finally:
            if self._checkpoint.state.records:
                self._checkpoint.save()

    def _batches(self) -> Iterator[ImportBatch]:
        """Yield the records as batches, beginning behind what is settled."""
        settled = self._behind()
        batch, looked, has_places = ImportBatch(), False, isinstance(self._form, Resumable)
        count = 0
        for count, record in enumerate(self._records(), 1):
            made_id = self._ids.next(record.number, record.content)
            if not looked:
                looked = self._look(record)
            if count <= settled:
                continue
            self._put(batch, record, made_id)
            batch.upto = count
            if has_places:
                batch.upto, batch.place = record.number, record.value
            if batch.is_full():
                yield batch
                batch = ImportBatch()
        yield from self._last(batch)
        if not count and not has_places:
            self._job.tell(f"{self._file.name}: {self._nothing_in()}")

    def _nothing_in(self) -> str:
        """Say what a file without records has."""
        names = self._form.names if isinstance(self._form, DelimitedTable) else ()
        if not any(names):
            return "there is nothing in it."
        listed = ", ".join(map(shown, names))
        return f"there is but one row in it, which names columns: {listed}. --columns names them otherwise."

    def _behind(self) -> int:
        """Return how many records are to be passed over; a database passes them over itself."""
        state = self._checkpoint.state
        if isinstance(self._form, Resumable):
            self._form.go_on(state.place, state.records)
            return 0
        return state.records

    def _last(self, batch: ImportBatch) -> Iterator[ImportBatch]:
        if not self._good and self._bad:
            raise self._damage or self._nothing_fits()
        if batch.upto:
            yield batch
        if self._damage is not None:
            raise self._damage

    def _records(self) -> Iterator[SourceRecord]:
        """Yield what can be read; where that is not all, ``_damage`` says why."""
        try:
            yield from self._form.records()
        except InvalidRequest as error:
            self._damage = error
        except OSError as error:
            self._damage = self._damaged(error)
        damage = self._file.damage()
        if damage is not None:
            self._damage = self._damaged(damage)

    def _damaged(self, error: Exception) -> InvalidRequest:
        return InvalidRequest(
            f"The file {self._file.name} is damaged or ends too early ({str(error) or type(error).__name__});"
            " accepted is a whole one. All that could be read of it is stored."
        )

    def _look(self, record: SourceRecord) -> bool:
        """Find out what the records are; return whether that is done."""
        looked = self._maker.look(self._form, record)
        if looked and self._job.connect is not None:
            self._quick = self._maker.quick()
        return looked

    def _put(self, batch: ImportBatch, record: SourceRecord, made_id: str) -> None:
        """Put the event of a record into a batch, by its text alone where that does.

        The first ones are checked here, so that a file of which nothing fits is known before any is sent.
        """
        text = None
        if self._quick is not None and record.error is None and self._good >= LOOKED_AT:
            content = record.content if self._form.is_json else self._json(record)
            text = None if content is None else self._quick(content, made_id)
        if text is None:
            self._take(batch, record, made_id)
            return
        batch.events.append(ImportedEvent(record, made_id, text))
        batch.size += len(text)
        batch.checked = False

    def _take(self, batch: ImportBatch, record: SourceRecord, made_id: str) -> None:
        """Put the event of a record into a batch, or the reason why there is none."""
        try:
            event = self._maker.event(self._form, record, made_id, self._arrived)
        except InvalidRequest as error:
            self._refuse(batch, record, f"{error.message}{self._encoding_hint(record)}")
            return
        batch.events.append(event)
        batch.size += len(event.text)
        self._good += 1

    def _encoding_hint(self, record: SourceRecord) -> str:
        if not isinstance(self._form, DelimitedTable):
            return ""
        try:
            record.content.decode()
        except UnicodeDecodeError:
            return " It may be --encoding cp1252."
        return ""

    def _json(self, record: SourceRecord) -> bytes | None:
        """Return a record as JSON; None where it is not Unicode, or no record."""
        try:
            return msgspec.json.encode(self._form.value(record))
        except (InvalidRequest, UnicodeError):
            return None

    def _check(self, batch: ImportBatch) -> None:
        """Make a batch's events once more, and check them."""
        made, batch.events, batch.checked = batch.events, [], True
        for event in made:
            self._take(batch, event.record, event.made_id)

    def _refuse(self, batch: ImportBatch, record: SourceRecord, reason: str) -> None:
        batch.rejected.append((record, reason))
        if self._good:
            return
        self._bad.append((record, reason))
        if len(self._bad) == LOOKED_AT:
            raise self._nothing_fits()

    def _nothing_fits(self) -> NothingFits:
        record, reason = self._bad[0]
        counts, number = self._form.counts, len(self._bad)
        none = f"none of its first {number} {counts}s is" if number > 1 else f"its {counts} is not"
        return NothingFits(
            f"Nothing of {self._file.name} is imported: {none} an event as it is read. {counts.capitalize()}"
            f" {record.number}: {reason}"
        )

    def _settle(self, batch: ImportBatch) -> None:
        state, counts = self._checkpoint.state, self._job.counts
        self._tell_reading()
        for record, reason in batch.rejected:
            self._rejects.take(
                self._file.name, self._form.counts, record.number, record.content, reason, self._shown(record)
            )
        state.records = batch.upto
        state.place = batch.place
        state.stored += len(batch.events)
        state.rejected += len(batch.rejected)
        counts.stored += len(batch.events)
        counts.rejected += len(batch.rejected)
        state.keys = self._ids.keys
        self._job.on_progress(self._file, counts)
        if time.monotonic() - self._saved > _SAVED_EVERY and self._job.connect is not None:
            self._saved = time.monotonic()
            self._checkpoint.save()

    def _shown(self, record: SourceRecord) -> Any:
        """Return a record that is rejected as an object, where its format makes one of it."""
        if record.error is not None or self._form.is_json:
            return record.value
        with suppress(InvalidRequest):
            return self._form.value(record)
        return None

    def _tell_reading(self) -> None:
        """Tell once what the records are taken for, where nobody has said it."""
        if self._told:
            return
        self._told = True
        found = self._maker.found_time
        if found is not None:
            made = (
                f"events of type {self._maker.type or self._maker.otherwise}, their time from {shown(found)}"
            )
            self._job.tell(f"{self._file.name}: {made}.")
        if isinstance(self._form, DelimitedTable) and self._form.with_commas:
            names = ", ".join(map(shown, self._form.with_commas))
            self._job.tell(
                f"{self._file.name}: the numbers in {names} have commas, and stay text: --decimal , takes"
                " them for the mark before fractions, --decimal . for the one between thousands."
            )
