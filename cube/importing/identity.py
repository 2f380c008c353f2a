"""Ids for records that have none: the same in each reading, ascending, and never two records' at once.

An id is made of three things: the beginning of its file, the record's number, and its content. So the same
file gives the same ids under another name, compressed, through a pipe, and after more was appended; equal
records of one file, and of two files that begin otherwise, are several events; and two records that differ
never have the same id, so that none replaces another. Ids that ascend are stored twice as fast as random
ones. Decision 0047 has the argument.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

from cube.importing.record import SourceRecord

HEAD_RECORDS = 1024
"""The beginning of a file is so many records at most."""

_KEY_DIGITS = 12


class RecordIds:
    """Makes the ids of one file's records, in their order.

    Record n belongs to the beginning of the greatest power of two of records up to n, which nothing that is
    appended changes. ``known``: the keys of these beginnings as they were when the file was read before; they
    hold where the first record is still the same, so that mending a line changes no other's id. ``within``:
    the part of the file that has the records, such as the path of an array, "" for all of it: equal records
    of two parts are several events.
    """

    def __init__(self, known: Sequence[str] = (), within: str = "") -> None:
        self.keys: list[str] = []
        self._known = known
        self._hash = hashlib.blake2b(digest_size=_KEY_DIGITS // 2, key=_key_of(within))
        self._count = 0
        self._key = ""

    def of(self, records: Sequence[SourceRecord]) -> list[bytes]:
        """Return the ids of the next records. Each record has to be asked for, whether it is used or not."""
        ids = []
        for record in records[: max(0, HEAD_RECORDS - self._count)]:
            self._extend(record.content)
            ids.append(self._id(record))
        key, crc32 = self._key.encode(), zlib.crc32
        ids += [b"%b%09x%08x" % (key, record.number, crc32(record.content)) for record in records[len(ids) :]]
        return ids

    def _id(self, record: SourceRecord) -> bytes:
        return b"%b%09x%08x" % (self._key.encode(), record.number, zlib.crc32(record.content))

    def _extend(self, content: bytes) -> None:
        self._count += 1
        self._hash.update(b"%d:" % len(content))
        self._hash.update(content)
        if self._count & (self._count - 1) == 0:
            self._key = self._known_key() or self._hash.copy().hexdigest()
            self.keys.append(self._key)

    def _known_key(self) -> str | None:
        place = len(self.keys)
        if place == 0 and self._known and self._known[0] != self._hash.hexdigest():
            self._known = ()
        return self._known[place] if place < len(self._known) else None


def _key_of(within: str) -> bytes:
    """Return a key for the hash, which takes 64 bytes at most."""
    encoded = within.encode()
    return encoded if len(encoded) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.sha256(encoded).digest()
