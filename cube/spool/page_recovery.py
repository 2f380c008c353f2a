"""Page recovery: the sound records of a spool file that SQLite itself will not read any more.

One damaged byte in an inner page of a B-tree hides hundreds of sound records from SQL, and one in the
first page all of them. So the leaf pages are read here as they lie on the disk, those of the write-ahead
log first, and every record whose checksum holds is kept. The format is that of
https://www.sqlite.org/fileformat2.html (sections 1.6, 2.1 and 4); nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from cube.spool.file import PAGE_BYTES
from cube.spool.record import Row

_TABLE_LEAF = 0x0D
_FIRST_PAGE_OFFSET = 100  # the database's own header
_COLUMNS = 5  # of the table ``records``
_MAX_LOCAL = PAGE_BYTES - 35  # a longer payload goes on in overflow pages
_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
_LOG_HEADER, _FRAME_HEADER = 32, 24
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class PageRecovery:
    """The sound records of a file, in order, whatever state it is in; a context manager.

    ``damaged``: how many records were found that are not sound; those whose page is not a leaf any more
    cannot be counted.
    """

    def __init__(self, path: Path) -> None:
        self.damaged = 0
        self._pages = _Pages(path)
        self._found: dict[int, tuple[int, int]] = {}  # number -> page, offset in it

    def __enter__(self) -> Self:
        for page in range(1, self._pages.count + 1):
            self._read_leaf(page)
        return self

    def __exit__(self, *_: object) -> None:
        self._pages.close()

    def rows(self) -> Iterator[Row]:
        """Yield the sound records in order of arrival."""
        for _, (page, offset) in sorted(self._found.items()):
            row = self._row(self._pages.read(page), offset)
            if row is not None:
                yield row

    def _read_leaf(self, page: int) -> None:
        content = self._pages.read(page)
        base = _FIRST_PAGE_OFFSET if page == 1 else 0
        if len(content) < PAGE_BYTES or content[base] != _TABLE_LEAF:
            return
        cells = min(int.from_bytes(content[base + 3 : base + 5], "big"), PAGE_BYTES // 4)
        for place in range(base + 8, base + 8 + 2 * cells, 2):
            offset = int.from_bytes(content[place : place + 2], "big")
            row = self._row(content, offset)
            if row is None:
                continue
            if row.is_sound:
                self._found[row.number] = (page, offset)
            else:
                self.damaged += 1

    def _row(self, content: bytes, offset: int) -> Row | None:
        """Read a cell; None if it is not one of ``records``."""
        try:
            size, offset = _varint(content, offset)
            number, offset = _varint(content, offset)
            values = _values(self._payload(content, offset, size))
        except (IndexError, ValueError):
            return None
        if len(values) != _COLUMNS or not isinstance(values[3], bytes):
            return None
        return Row(number, *values[1:])

    def _payload(self, content: bytes, offset: int, size: int) -> bytes:
        if size <= _MAX_LOCAL:
            return content[offset : offset + size]
        local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE_BYTES - 4)
        if local > _MAX_LOCAL:
            local = _MIN_LOCAL
        parts = [content[offset : offset + local]]
        following = int.from_bytes(content[offset + local : offset + local + 4], "big")
        left = size - local
        while left > 0 and 0 < following <= self._pages.count:
            page = self._pages.read(following)
            parts.append(page[4 : 4 + left])
            left -= PAGE_BYTES - 4
            following = int.from_bytes(page[:4], "big")
        if left > 0:
            raise ValueError("the chain of overflow pages is broken")
        return b"".join(parts)


class _Pages:
    """The pages of a database: as its write-ahead log has them, else as its file has them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        log = Path(f"{path}-wal")
        self._log = log.open("rb") if log.exists() else None
        self._frames = {} if self._log is None else _frames(self._log)
        own = path.stat().st_size // PAGE_BYTES
        self.count = max(own, *self._frames) if self._frames else own

    def read(self, number: int) -> bytes:
        """Return a page; less than a page where the file ends before it."""
        frame = self._frames.get(number)
        if frame is not None and self._log is not None:
            self._log.seek(frame)
            return self._log.read(PAGE_BYTES)
        self._file.seek((number - 1) * PAGE_BYTES)
        return self._file.read(PAGE_BYTES)

    def close(self) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()


def _frames(log: BinaryIO) -> dict[int, int]:
    """Return where the last frame of each page begins: those of the log's present run (equal salts)."""
    head = log.read(_LOG_HEADER)
    salts = head[16:24]
    frames: dict[int, int] = {}
    place = _LOG_HEADER
    while len(head := log.read(_FRAME_HEADER)) == _FRAME_HEADER:
        page = int.from_bytes(head[:4], "big")
        if head[8:16] != salts or not 0 < page < 2**31:
            break
        frames[page] = place + _FRAME_HEADER
        place += _FRAME_HEADER + PAGE_BYTES
        log.seek(place)
    return frames


def _values(payload: bytes) -> list[Any]:
    """Read a record of SQLite's: a header of types, then the values."""
    end, place = _varint(payload, 0)
    kinds: list[int] = []
    while place < end:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    values: list[Any] = []
    for kind in kinds:
        value, place = _value(payload, kind, place)
        values.append(value)
    return values


def _value(payload: bytes, kind: int, place: int) -> tuple[Any, int]:
    if kind == 0:
        return None, place
    if kind in (8, 9):
        return kind - 8, place
    length = _INTEGER_BYTES.get(kind)
    if length is not None:
        return int.from_bytes(payload[place : place + length], "big", signed=True), place + length
    if kind < 12:
        raise ValueError("a kind of value that no record has")
    length = (kind - 12) // 2
    if place + length > len(payload):
        raise ValueError("a value that is longer than its record")
    content = payload[place : place + length]
    return (content if kind % 2 == 0 else content.decode("latin-1")), place + length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = content[place + count]
        if count == 8:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, place + count + 1
    raise AssertionError("a varint has at most nine bytes")
