"""An import: files one after the other, each up to its end, and where it was interrupted from there on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cube.errors import CubeError, InvalidRequest, shown
from cube.importing import sender
from cube.importing.batch_filler import BatchFiller
from cube.importing.checkpoint import ImportCheckpoint
from cube.importing.databases import DatabaseSource, Resumable, is_database
from cube.importing.delimited import DelimitedTable
from cube.importing.event_maker import EventMaker
from cube.importing.formats import ImportOptions
from cube.importing.identity import RecordIds
from cube.importing.json_formats import NestedRecords
from cube.importing.opening import OpenedFile, opened
from cube.importing.record import FileFault, Format, NothingFits, SourceRecord
from cube.importing.rejects import Rejects
from cube.importing.sender import BatchSender, ImportBatch, Poster

_RUN: Final = 1_000
_RUN_BYTES: Final = 2**20
"""Records that are looked at together."""

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
    """What has become of records; ``rejected``: by the import that this one goes on with, too."""

    stored: int = 0
    rejected: int = 0


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

        Raises `FileFault`, and what the collector says; then all that is settled is kept, and another run
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
            FileImport(self, file, self._form(file), checkpoint).run()
        finally:
            file.close()

    def _form(self, file: OpenedFile) -> Format:
        try:
            return self.options.form(file)
        except OSError as error:
            raise FileFault(f"The file {file.name} cannot be read: {error.strerror or error}.") from None


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
        within = form.path if isinstance(form, NestedRecords) else ""
        self._ids = RecordIds(checkpoint.state.keys, within)
        self._rejects = job.rejects(file.name, checkpoint.resumed)
        self._filler = BatchFiller(
            file.name, form, self._maker, checkpoint.state.stored, stores=job.connect is not None
        )
        if checkpoint.resumed:
            job.counts.rejected += checkpoint.state.rejected
        self._saved = time.monotonic()
        self._told = False
        self._damage: FileFault | None = None

    def run(self) -> None:
        """Import the file up to its end."""
        if self._job.connect is None:
            for batch in self._batches():
                self._settle(batch)
            return
        batches = BatchSender(self._job.connect, self._settle, self._filler.check)
        try:
            for batch in self._batches():
                batches.send(batch)
            batches.finish()
            self._checkpoint.finish()
        except BaseException as error:
            self._keep(batches, error)
            raise
        finally:
            batches.close()
            self._rejects.close()

    def _keep(self, batches: BatchSender, error: BaseException) -> None:
        """Keep what is settled, once what is under way is."""
        try:
            if not isinstance(error, NothingFits):
                with suppress(CubeError):
                    batches.finish()
        finally:
            if self._checkpoint.state.records:
                self._checkpoint.save()

    def _batches(self) -> Iterator[ImportBatch]:
        """Yield the records as batches, beginning behind what is settled."""
        settled, count = self._behind(), 0
        batch, has_places = ImportBatch(), isinstance(self._form, Resumable)
        for run in self._runs():
            made_ids, before = self._ids.of(run), max(0, settled - count)
            self._filler.look(run)
            count += len(run)
            if before >= len(run):
                continue
            self._filler.put(batch, run[before:], made_ids[before:])
            batch.upto = count
            if has_places:
                batch.upto, batch.place = run[-1].number, run[-1].value
            if batch.is_full():
                yield batch
                batch = ImportBatch()
        yield from self._last(batch)
        if not count and not has_places:
            self._job.tell(f"{self._file.name}: {self._nothing_in()}")

    def _runs(self) -> Iterator[list[SourceRecord]]:
        """Yield the records, as many at a time as are looked at together: no more than make a batch."""
        run: list[SourceRecord] = []
        size, most = 0, min(_RUN, sender.BATCH_EVENTS)
        for record in self._records():
            run.append(record)
            size += len(record.content)
            if len(run) == most or size > _RUN_BYTES:
                yield run
                run, size = [], 0
        if run:
            yield run

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
        if not self._filler.good and self._filler.bad:
            raise self._damage or self._filler.nothing_fits()
        if batch.upto:
            yield batch
        if self._damage is not None:
            raise self._damage

    def _records(self) -> Iterator[SourceRecord]:
        """Yield what can be read; where that is not all, ``_damage`` says why."""
        try:
            yield from self._form.records()
        except InvalidRequest as error:
            self._damage = FileFault(f"{self._file.name}: {error.message}")
        except OSError as error:
            self._damage = self._damaged(error)
        damage = self._file.damage()
        if damage is not None:
            self._damage = self._damaged(damage)

    def _damaged(self, error: Exception) -> FileFault:
        return FileFault(
            f"The file {self._file.name} is damaged or ends too early ({str(error) or type(error).__name__});"
            " accepted is a whole one. All that could be read of it is stored."
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
        if isinstance(self._form, DelimitedTable) and self._form.is_export:
            self._job.tell(
                f"{self._file.name}: its rows look as cube export writes them, and are taken as events with"
                " their own types and ids; --time time makes them data of events."
            )
        if isinstance(self._form, DelimitedTable) and self._form.with_commas:
            names = ", ".join(map(shown, self._form.with_commas))
            self._job.tell(
                f"{self._file.name}: the numbers in {names} have commas, and stay text: --decimal , takes"
                " them for the mark before fractions, --decimal . for the one between thousands."
            )
