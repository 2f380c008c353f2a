"""Files as streams of bytes: decompressed, with how far they are read, and what format they seem to have."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from cube.errors import shown
from cube.importing.access_log import is_access_log
from cube.importing.recognition import is_log_line, is_table
from cube.importing.record import FileFault, NothingFits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STDIN: Final = "-"
REJECTS: Final = ".rejects.jsonl"
STATE: Final = ".cube-import"

BROKEN: Final = (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError)
"""What reading a file raises that is cut short or damaged."""

_BUFFER = 2**20
_NO_NAME = re.compile(r"[^A-Za-z0-9.-]+")
_SNIFFED = 2**16
_PARQUET = b"PAR1"
_COMPRESSED: Final[Mapping[bytes, Callable[[Any], Any]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""Streams by their first bytes, whatever a file is called."""

_UTF_16 = "is in UTF-16; accepted is UTF-8, and CSV with --encoding utf-16"
_REFUSED: Final[Mapping[bytes, str]] = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"PK\x03\x04": "is a zip file, as Excel's are; accepted is what is in it, as CSV, JSON or Parquet",
    b"\xd0\xcf\x11\xe0": "is a workbook of an old Excel; accepted is CSV that is saved from it",
    b"SQLite format 3\0": "is an SQLite database; accepted is what is exported of it, such as CSV",
    b"ARROW1\0\0": "is an Arrow file; accepted is Parquet",
    b"Obj\x01": "is an Avro file; accepted is Parquet or JSON",
    b"ORC": "is an ORC file; accepted is Parquet or CSV",
}
"""Files that would be taken for CSV of strange names, by their first bytes."""


class Inflated(io.RawIOBase):
    """What a compressed stream holds, up to where it is damaged or cut short; ``damage`` says how it is."""

    def __init__(self, file: Any) -> None:
        self.damage: Exception | None = None
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._file.read1(len(buffer))
        except BROKEN as error:
            self.damage = error
            return 0
        buffer[: len(content)] = content
        return len(content)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is read. ``name``: as it was given; ``size``: bytes as stored, None for a pipe.

    ``plain``: its content, decompressed; ``stored``: as it is stored.
    """

    name: str
    size: int | None
    plain: io.BufferedReader[Any]
    stored: io.BufferedReader[Any]

    def place(self) -> int:
        """Return how many of its stored bytes are read."""
        return self.stored.raw.tell() if self.size is not None else 0

    def damage(self) -> Exception | None:
        """Return what is wrong with its compression, once all of it is read that can be."""
        return self.plain.raw.damage if isinstance(self.plain.raw, Inflated) else None

    def close(self) -> None:
        """Close it, but for standard input."""
        if self.name != STDIN:
            self.plain.close()
            self.stored.close()


def local_name(name: str) -> str:
    """Return the name beside which an import keeps its files: of a file its own, else one in this folder."""
    if name == STDIN:
        return "import"
    return _NO_NAME.sub("_", name.partition("://")[2]) if "://" in name else name


def files_in(names: Iterable[str]) -> Iterator[str]:
    """Yield the files that names stand for: a directory for all in it, in order, but hidden ones and ours.

    What cannot be listed, and a directory without files, stands for itself: `opened` says what is wrong.
    """
    for name in names:
        if name == STDIN or not _is_directory(name):
            yield name
            continue
        unlisted: list[str] = []
        found = sorted(map(str, _files_below(name, unlisted)))
        yield from unlisted
        yield from found or ([] if unlisted else [name])


def _files_below(name: str, unlisted: list[str]) -> Iterator[Path]:
    """Yield a directory's files, broken links among them; ``unlisted`` takes directories that are closed."""
    for folder, folders, files in os.walk(name, onerror=lambda error: unlisted.append(str(error.filename))):
        folders[:] = [each for each in folders if not each.startswith(".")]
        yield from (Path(folder, each) for each in files if _is_data(Path(folder, each)))


def opened(name: str) -> OpenedFile:
    """Open a file, or standard input; raises `FileFault` where that is not possible."""
    try:
        if name != STDIN and _is_directory(name):
            next(Path(name).iterdir(), None)  # which says what is wrong, if anything is
            raise FileFault(f"There are no files in the directory {name}; accepted is one with some.")
        raw = sys.stdin.buffer if name == STDIN else io.FileIO(name)
        buffered: io.BufferedReader[Any] = io.BufferedReader(cast("Any", raw), _BUFFER)
        return OpenedFile(name, _size(raw), _decompressed(buffered), buffered)
    except OSError as error:
        raise FileFault(f"The file {name} cannot be read: {error.strerror or error}.") from None


def sniffed(file: OpenedFile, *, described: bool = False) -> str:
    """Return the format that the beginning of a file has: a key of `cube.importing.formats.FORMATS`.

    ``described``: somebody has said what its CSV is like, so that it need not look like that. Raises
    `NothingFits` for what is none of these.
    """
    head = file.plain.peek(_SNIFFED)[:_SNIFFED].removeprefix(b"\xef\xbb\xbf")
    if head.startswith(_PARQUET):
        return "parquet"
    for magic, reason in _REFUSED.items():
        if head.startswith(magic):
            raise NothingFits(f"Nothing of {file.name} is imported: it {reason}.")
    lines = [line.strip() for line in head.split(b"\n") if line.strip()]
    if head.lstrip()[:1] == b"[" and not is_log_line(lines[0]):
        return "json"
    if head.lstrip()[:1] == b"{":
        return "jsonl" if _are_values(lines) else "json"
    if lines and is_access_log(lines[0]):
        return "log"
    whole = lines if head.endswith(b"\n") else lines[:-1]  # of a pipe there may be but a part as yet
    if lines and not described and (is_log_line(lines[0]) or (whole and not is_table(whole))):
        raise NothingFits(
            f"Nothing of {file.name} is imported: its first line, {shown(_readable(lines[0]))}, does not name"
            " the columns of CSV, and is not of an access log; accepted are JSON, Parquet, access logs in the"
            " common or the combined log format, and CSV with the columns' names in its first row, or in"
            " --columns (--format csv takes it for that as it stands)."
        )
    return "csv"


def _readable(line: bytes) -> str:
    return line[:80].decode(errors="replace")


def _size(file: IO[bytes] | io.FileIO) -> int | None:
    try:
        status = os.fstat(file.fileno())
    except OSError:  # no file of the system's
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _are_values(lines: list[bytes]) -> bool:
    """Tell whether lines are JSON objects each: the first is one, or it is broken and the next two are."""
    return _is_object(lines[0]) or (len(lines) > 2 and all(map(_is_object, lines[1:3])))


def _is_object(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_data(path: Path) -> bool:
    """Tell whether a file in a directory is to be read: it is, or it is told that it cannot be."""
    if path.name.startswith(".") or path.name.endswith((REJECTS, STATE)):
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)  # no socket, pipe or device
    except OSError:
        return True


def _is_directory(name: str) -> bool:
    with suppress(OSError):
        return stat.S_ISDIR(Path(name).stat().st_mode)
    return False


def _decompressed(file: io.BufferedReader[Any]) -> io.BufferedReader[Any]:
    head = file.peek(8)
    for magic, inflated in _COMPRESSED.items():
        if head.startswith(magic):
            return io.BufferedReader(Inflated(inflated(file)), _BUFFER)
    return file
