"""All events of a database, whoever has filled it: Square's Cube, another tool, or ours; to be imported.

Documents are ``{_id, t, d}`` in the collections ``<type>_events``, in the order of their ``_id``: that of
BSON's kinds, and in one kind ascending. Each has a *place*, from behind which another reading goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from bson import DatetimeMS, Decimal128, ObjectId, Timestamp, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.json_util import JSONMode, JSONOptions
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidName, PyMongoError
from pymongo.uri_parser import parse_uri

from cube.errors import InvalidRequest, Unavailable
from cube.model.event import is_type
from cube.store.mongo.documents import MARK, event_id, plain, unescape
from cube.store.mongo.extended_json import text_of
from cube.store.mongo.faults import refused, unavailable
from cube.store.url import StoreUrl

_EVENTS: Final = "_events"
_TIMEOUTS: Final[dict[str, Any]] = {"serverSelectionTimeoutMS": 20_000, "connectTimeoutMS": 5_000}
_BATCH: Final = 1_000
CODEC: Final = CodecOptions[dict[str, Any]](
    datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="replace"
)
_PLACES: Final = JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_MS, json_mode=JSONMode.CANONICAL)

KINDS: Final = ("number", "string", "object", "binData", "objectId", "bool", "date", "timestamp")
"""The kinds that an ``_id`` may have, in the order in which the server has them ("Comparison/Sort Order")."""


_NAMES: Final[Mapping[type, str]] = {
    bool: "bool",  # before the numbers, which it is one of in Python
    DatetimeMS: "date",
    int: "number",
    float: "number",
    Decimal128: "number",
    str: "string",
    bytes: "binData",
    ObjectId: "objectId",
    Timestamp: "timestamp",
}


class ForeignEvent(NamedTuple):
    """One document as an event: with text for what JSON has no word for, and an ObjectId as its digits.

    ``time``: milliseconds since 1970, None where its ``t`` is no date. ``place``: of the document.
    """

    type: str
    id: int | float | str
    time: int | None
    data: Any
    has_data: bool
    place: str


def foreign_events(url: str, type: str | None, after: str = "") -> Iterator[ForeignEvent]:
    """Yield all events of the database that a URL names, or those of one type, behind a place.

    Raises `InvalidRequest`, and `Unavailable` where no server answers.
    """
    lower = url.lower()
    timeouts = {name: wait for name, wait in _TIMEOUTS.items() if name.lower() not in lower}
    with _failing(url), MongoClient[dict[str, Any]](url, **timeouts) as client:
        database = parse_uri(url, warn=False)["database"]
        if not database:
            raise InvalidRequest(
                f"Got {StoreUrl.shown(url)}, which names no database; accepted is"
                " mongodb://HOST:PORT/DATABASE."
            )
        collections = client.get_database(database, codec_options=CODEC)
        begun, last = json.loads(after) if after else ("", "")
        for each in _types(collections, type):
            if each < begun:
                continue
            found = collections[f"{each}{_EVENTS}"].find(_behind(last) if each == begun else {})
            for document in found.sort("_id", 1).batch_size(_BATCH):
                yield _event(each, document)


def _types(database: Any, type: str | None) -> list[str]:
    """Return the types that a database has events of, in order, or the one that is wanted."""
    names = sorted(database.list_collection_names())
    types = [name.removesuffix(_EVENTS) for name in names if name.endswith(_EVENTS)]
    wanted = [each for each in types if is_type(each) and type in (None, each)]
    if not wanted:
        raise InvalidRequest(
            f"There is no collection {type or '<type>'}{_EVENTS} in the database {database.name}; it has"
            f" {', '.join(names[:20]) or 'none'}."
        )
    return sorted(wanted)


@contextmanager
def _failing(url: str) -> Iterator[None]:
    try:
        yield
    except (ConfigurationError, InvalidName, ValueError):  # whose texts may hold a password
        raise InvalidRequest(
            f"Got the address {StoreUrl.shown(url)}; accepted is mongodb://HOST:PORT/DATABASE?OPTIONS"
            " with user and password percent-encoded."
        ) from None
    except PyMongoError as error:
        reason = unavailable(error) or refused(error, "read events")
        raise Unavailable(f"The database at {StoreUrl.shown(url)} cannot be read. {reason}") from error


def _behind(place: str) -> Mapping[str, Any]:
    """Return the filter for what comes behind a place: greater ids of its kind, and later kinds."""
    id = json_util.loads(place, json_options=_PLACES)["_id"]
    later = list(KINDS[KINDS.index(kind(id)) + 1 :])
    return {"$or": [{"_id": {"$gt": id}}, {"_id": {"$type": later}}]} if later else {"_id": {"$gt": id}}


def kind(id: Any) -> str:
    """Return the server's name of the kind that an ``_id`` has."""
    return next((name for kind, name in _NAMES.items() if isinstance(id, kind)), "object")


def _event(type: str, document: dict[str, Any]) -> ForeignEvent:
    own, time, data = document["_id"], document.get("t"), document.get("d")
    id = event_id(own)
    if document.get(MARK) is True:
        data = unescape(data)
    return ForeignEvent(
        type,
        id.hex() if isinstance(id, bytes) else id,
        int(time) if isinstance(time, DatetimeMS) else None,
        text_of(plain(data)),
        "d" in document,
        json.dumps([type, json_util.dumps({"_id": own}, json_options=_PLACES)]),
    )
