"""MongoDB's extended JSON as values: what ``mongoexport`` and Compass write, both forms, and the older one.

Source: "MongoDB Extended JSON (v2)", read by `bson.json_util`. What JSON has no word for becomes what events
read from a database have (`cube.store.mongo.documents.plain`), and times become text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bson import json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONOptions

from cube.model import instant
from cube.store.mongo.documents import plain

_OPTIONS: Final = JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_MS, tz_aware=True)


def plain_values(value: Any) -> Any:
    """Return decoded JSON with the values that its ``$``-keys stand for; what is no such value stays."""
    match value:
        case dict() if value and all(name.startswith("$") for name in value):
            return _value(value)
        case dict():
            return {name: plain_values(item) for name, item in value.items()}
        case list():
            return [plain_values(item) for item in value]
        case _:
            return value


def text_of(value: Any) -> Any:
    """Return what `plain` returns with times as text."""
    match value:
        case datetime():
            return instant.format(instant.from_datetime(value))
        case dict():
            return {name: text_of(item) for name, item in value.items()}
        case list():
            return [text_of(item) for item in value]
        case bool():
            return value
        case int():
            return int(value)  # BSON's long is a class of its own
        case _:
            return value


def _value(value: dict[str, Any]) -> Any:
    """Return what one object of ``$``-keys stands for, itself where it is none that MongoDB knows."""
    try:
        if "$date" in value and isinstance(value["$date"], dict):  # canonical: a number within
            value = {"$date": int(value["$date"]["$numberLong"])}
        return text_of(plain(json_util.object_hook(value, _OPTIONS)))
    except (BSONError, TypeError, ValueError, KeyError, ArithmeticError):
        return value
