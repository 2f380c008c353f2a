"""Events as documents, and documents as columns.

A database filled by another tool may hold any BSON: whatever JSON has no word for becomes the
nearest plain Python value, and nothing that is stored can make a scan fail.

Property names that MongoDB cannot hold, or cannot query, are escaped: a server and its drivers refuse NUL,
and read ``.`` and a leading ``$`` as their own syntax ("Field Names with Periods and Dollar Signs" in
MongoDB's manual). Those characters, and a ``%`` that could be taken for the beginning of an escape, are
written ``%2E``, ``%24``, ``%00`` and ``%25``, in documents that say so by `MARK`. All others, Square's and
those of other tools among them, are read as they stand, whatever their names look like.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import bson
import numpy as np
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS

from cube.columns.block import Block
from cube.model import instant
from cube.model.event import ABSENT, Event, EventId
from cube.store.mongo.layout import Document

_FOREIGN = (Binary, Code, DBRef, DatetimeMS, Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp, bytes)
_LENGTH = struct.Struct("<i")

TEXT_KINDS: Final = [
    "binData",
    "objectId",
    "regex",
    "javascript",
    "javascriptWithScope",
    "symbol",
    "minKey",
    "maxKey",
]
"""The server's names of the kinds, beside strings, that `plain` makes text of."""

NUMBER_KINDS: Final = ["decimal"]
"""The same of kinds that `plain` makes floats of, which need not equal what the server compares."""

MARK: Final = "escaped"
"""The field, beside ``d``, of documents with escaped names; its value is true."""

_ODD = re.compile(r"\.|\0|\A\$|%(?=2E|24|00|25)")
_ESCAPE = re.compile(r"%(2E|24|00|25)")
_PLAIN: set[str] = set()  # names that were seen to need no escape; bounded below
_NESTED: Final = frozenset((dict, list))
_MAX_PLAIN = 4096
_MAX_PLAIN_LENGTH = 64


def encode(event: Event) -> Document:
    """Return the document of an event: ``{_id, t, d}``, without ``d`` where it has no data.

    Where names in the data had to be escaped, `MARK` says so beside them.
    """
    document: Document = {"_id": stored_id(event.id), "t": DatetimeMS(event.time)}
    data = event.data
    if data is not ABSENT:
        document["d"] = data
        if _has_escaped(data):
            document["d"] = escape(data)
            document[MARK] = True
    return document


def encode_all(events: Sequence[Event]) -> list[Document]:
    """Return what `encode` does of each of some events, in less time where all data are flat objects."""
    data = [event.data for event in events]
    if set(map(type, data)) != {dict} or not _are_flat_and_plain(data):
        return [encode(event) for event in events]
    return [
        {"_id": stored_id(event.id), "t": DatetimeMS(event.time), "d": one}
        for event, one in zip(events, data, strict=True)
    ]


def stored_id(id: EventId) -> ObjectId | int | float | str:
    """Return an event's id as ``_id``: a made one is an ObjectId, a client's is as it is."""
    return ObjectId(id) if isinstance(id, bytes) else id


def event_id(stored: Any) -> EventId:
    """Return a stored ``_id`` as an event's id; kinds that no event of ours has become text."""
    if isinstance(stored, ObjectId):
        return stored.binary
    value = plain(stored)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else str(value)


def plain(value: Any) -> Any:
    """Return a stored value as what JSON has, or a `datetime` in UTC (years 1 to 9999 at most)."""
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case DatetimeMS():
            return _moment(int(value))
        case Decimal128():
            return _number(value)
        case bytes():  # Binary as well
            return base64.b64encode(value).decode()
        case _:
            return _rare(value)


def _number(value: Decimal128) -> float:
    number = value.to_decimal()
    return math.nan if number.is_nan() else float(number)  # float() refuses a signalling NaN


def _rare(value: Any) -> Any:
    match value:
        case Timestamp():
            return _moment(value.time * 1000)
        case DBRef():
            return plain(dict(value.as_doc()))
        case Regex():
            return f"/{value.pattern}/"
        case Code() | ObjectId():
            return str(value)
        case MinKey() | MaxKey():
            return type(value).__name__
        case _:
            return value


def _moment(time: int) -> datetime:
    return instant.to_datetime(min(max(time, instant.EARLIEST), instant.LATEST))


def parts(batch: bytes, size: int) -> Iterator[bytes]:
    """Cut a batch of BSON documents into parts of about so many bytes, each of whole documents."""
    start = stop = 0
    while stop < len(batch):
        stop += _LENGTH.unpack_from(batch, stop)[0]  # a document begins with its own length
        if stop - start >= size or stop >= len(batch):
            yield batch[start:stop]
            start = stop


class DocumentDecoder:
    """Turns batches of raw BSON into blocks; one for each scan.

    BSON's C decoder calls us only for kinds that are not plain, so counting them tells whether data
    hold any beside the events' own ids and times; only then are the data gone through.
    """

    def __init__(self, *, ids: bool) -> None:
        self._ids = ids
        self._odd = 0
        decoders = [_decoder(kind, self._count) for kind in _FOREIGN]
        self._options: CodecOptions[Document] = CodecOptions(
            type_registry=TypeRegistry([_decoder(Int64, int), *decoders]),
            datetime_conversion=DatetimeConversion.DATETIME_MS,
            unicode_decode_error_handler="replace",
        )

    def block(self, batch: bytes) -> Block:
        """Decode one batch of documents ``{t, d?}``, with ``_id`` if ids are wanted.

        A document whose ``t`` is an array of dates, which the server's range finds too, is left out.
        """
        self._odd = 0
        documents = bson.decode_all(batch, self._options)
        usual = len(documents)
        if self._ids:
            usual += sum(document["_id"].__class__ is ObjectId for document in documents)
        if not all(document["t"].__class__ is DatetimeMS for document in documents):
            documents = [document for document in documents if isinstance(document["t"], DatetimeMS)]
        times = np.array([int(document["t"]) for document in documents], dtype=np.int64)
        data = [_data(document) for document in documents]
        if self._odd > usual:
            data = [value if value is ABSENT else plain(value) for value in data]
        ids = [event_id(document["_id"]) for document in documents] if self._ids else None
        return Block(times, data, ids, size=len(batch))

    def _count(self, value: Any) -> Any:
        self._odd += 1
        return value


def _data(document: Document) -> Any:
    data = document.get("d", ABSENT)
    return unescape(data) if document.get(MARK) is True else data


def _decoder(kind: type, transform: Callable[[Any], Any]) -> TypeDecoder:
    class Transformer(TypeDecoder):
        bson_type = kind

        def transform_bson(self, value: Any) -> Any:
            return transform(value)

    return Transformer()


def is_escaped(name: str) -> bool:
    """Tell whether a document holds a property of this name under another, where it holds one."""
    if name in _PLAIN:
        return False
    if _ODD.search(name):
        return True
    if len(_PLAIN) < _MAX_PLAIN and len(name) <= _MAX_PLAIN_LENGTH:
        _PLAIN.add(name)
    return False


def escape(value: Any) -> Any:
    """Return an event's data as a document can hold it: itself, unless a name in it has to be escaped."""
    if not _has_escaped(value):
        return value
    return _renamed(value, lambda name: _ODD.sub(lambda found: f"%{ord(found[0]):02X}", name))


def unescape(value: Any) -> Any:
    """Return the data that `escape` was given."""
    return _renamed(value, lambda name: _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name))


def _has_escaped(value: Any) -> bool:
    if value.__class__ is dict:
        if not _PLAIN.issuperset(value) and any(map(is_escaped, value)):
            return True
        value = value.values()
    elif value.__class__ is not list:
        return False
    if _NESTED.isdisjoint(map(type, value)):  # nearly always, and told in C
        return False
    return any(_has_escaped(item) for item in value if item.__class__ in _NESTED)


def _are_flat_and_plain(data: Sequence[dict[str, Any]]) -> bool:
    if not _NESTED.isdisjoint(map(type, chain.from_iterable(map(dict.values, data)))):
        return False
    names: set[str] = set().union(*data)
    return _PLAIN.issuperset(names) or not any(map(is_escaped, names))


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rename(name): _renamed(item, rename) for name, item in value.items()}
    return [_renamed(item, rename) for item in value] if isinstance(value, list) else value
