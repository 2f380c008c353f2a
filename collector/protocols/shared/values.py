"""Values that several protocols share: numbers as text or beyond 64 bits, ids made of content, a pixel."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl

from cube import json_text
from cube.errors import InvalidRequest, described
from cube.model import instant
from cube.model.event import ABSENT, MAX_DATA_DEPTH, MAX_INTEGER, MIN_INTEGER, is_type
from cube.web import MAX_PARAMETERS, Reply

PIXEL: Final = Reply(
    base64.b64decode("R0lGODlhAQABAPAAAP///wAAACH5BAUAAAAALAAAAAABAAEAAAICRAEAOw=="),
    content_type="image/gif",
    headers=(("Cache-Control", "no-cache, no-store, must-revalidate"),),
)
"""What answers requests of pages and mails. Never kept by who asked: each time it is shown is an event."""

LONGEST: Final = 400
"""Python's clients write large floats without an exponent: up to 309 digits."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_TO_STANDARD = str.maketrans(" -_", "++/")
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)


def decimal(text: str) -> int | float:
    """Read a finite decimal number; whole ones within 64 bits become integers. Raises `ValueError`."""
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError
    if _WHOLE.fullmatch(text) and MIN_INTEGER <= int(text) <= MAX_INTEGER:
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def checked_type(type: str) -> str:
    """Return a type that stands in a path or a query as it is. Raises `InvalidRequest` where it is none."""
    if not is_type(type):
        raise InvalidRequest(
            f"Got the type {described(type)}; accepted are letters, digits and _, a small letter or _ first."
        )
    return type


def fields_of(form: bytes) -> dict[str, str]:
    """Read a form; of a name that comes again the last counts. Raises `InvalidRequest` for too many."""
    try:
        pairs = parse_qsl(
            form.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise InvalidRequest(f"Got more than {MAX_PARAMETERS} fields in a form.") from None
    return dict(pairs)


def unpacked(text: str) -> bytes:
    """Decode base64 of either alphabet, padded or not; a blank was a ``+``. Raises `ValueError`."""
    packed = text.translate(_TO_STANDARD).rstrip("=")
    return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)


def doubled(value: Any, depth: int = MAX_DATA_DEPTH) -> Any:
    """Return a JSON value with a double for each integer beyond 64 bits.

    One beyond the range of a double, and what is deeper than data may be, stays as it is: `Event.parse`
    refuses it.
    """
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        try:
            return float(value)
        except OverflowError:
            return value
    if depth and isinstance(value, Mapping):
        return {name: doubled(item, depth - 1) for name, item in value.items()}
    if depth and isinstance(value, list | tuple):
        return [doubled(item, depth - 1) for item in value]
    return value


def clocks(time: Any, sent: Any, now: int) -> dict[str, Any]:
    """Return when a message was sent, and when it arrived where that is not its time anyway.

    With both a device's clock can be put right. That is not done here: a message that is sent again has
    another ``sent``, and its event would move each time.
    """
    received = {} if time is ABSENT else {"received": now}
    with suppress(InvalidRequest):  # it stands as it came: the event itself is not wrong for it
        sent = None if sent is None else instant.parse_any_unit(sent)
    return received if sent is None else {"sent": sent, **received}


def hashed(value: Any) -> str:
    """Return an id of 32 characters that equal JSON values share, whatever the order of their keys.

    For protocols without ids: an exact resend stores nothing twice.
    """
    return hashlib.sha256(json_text.encode_ordered(value)).hexdigest()[:32]


class Occurrences:
    """Tells equal records of one request apart by how often each has occurred in it.

    So a burst of records that are equal in all stays as many events, and the same request again the same.
    """

    def __init__(self) -> None:
        self._counts: Counter[Any] = Counter()

    def own(self, id: Any) -> Any:
        """Return the id of one more record, of the id that all its equals have; `ABSENT` stays so."""
        if id is ABSENT:
            return id
        self._counts[id] += 1
        count = self._counts[id]
        return id if count == 1 else hashed([id, count])
