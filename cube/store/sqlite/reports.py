"""What daemons tell of themselves: a small file for each process, in ``<database>.daemons``.

Not a table: a write of events may hold the database's lock for seconds, and a status has to come all the
same.
"""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from cube import files
from cube.errors import Unavailable
from cube.store.record_ports import FORGOTTEN_SECONDS, MOST_REPORTS, StoredReport

_SUFFIX = ".json"


class SqliteReports:
    """A `ReportStore` on one machine: when the file was written, by its clock, says how old a report is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writing = threading.Lock()  # files are written aside first, under a name of the process's

    async def put(self, process: str, content: str) -> None:
        await asyncio.to_thread(self._put, self._path(process), content.encode())

    async def all(self) -> list[StoredReport]:
        """Read all files, and delete those that are to be forgotten."""
        return await asyncio.to_thread(lambda: sorted(self._all(), key=lambda report: report.process))

    async def remove(self, process: str) -> None:
        await asyncio.to_thread(self._path(process).unlink, missing_ok=True)

    async def versions(self) -> Mapping[str, str]:
        return {"sqlite": sqlite3.sqlite_version}

    def _path(self, process: str) -> Path:
        return self._directory / f"{process}{_SUFFIX}"

    def _put(self, path: Path, content: bytes) -> None:
        try:
            if not self._directory.is_dir():  # the database's own directory, once gone, is never made anew
                self._directory.mkdir(mode=files.DIRECTORY_MODE, exist_ok=True)
            with self._writing:
                files.write(path, content)
        except OSError as error:
            raise Unavailable(
                f"The file {self._directory.name}/{path.name} cannot be written ({error.strerror}): let this"
                " user write there, and make room on the disk."
            ) from error

    def _all(self) -> Iterator[StoredReport]:
        """Read the latest `MOST_REPORTS`; one whose text is not UTF-8 is damaged, and hides no other."""
        for age, path in sorted(self._ages())[:MOST_REPORTS]:
            with suppress(FileNotFoundError):  # its process has ended just now
                text = path.read_text(encoding="utf-8", errors="replace")
                yield StoredReport(path.stem, round(age * 1000), text)

    def _ages(self) -> Iterator[tuple[float, Path]]:
        """Return the files that are not forgotten, and how old they are; delete the others."""
        now = time.time()
        for path in self._directory.glob("*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                age = max(0.0, now - status.st_mtime)
                if not stat.S_ISREG(status.st_mode):
                    continue
                if age >= FORGOTTEN_SECONDS:
                    path.unlink()
                elif path.suffix == _SUFFIX:
                    yield age, path
