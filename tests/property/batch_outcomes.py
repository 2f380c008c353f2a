"""What comes of a batch's text, read one way or another, as something to compare."""

from __future__ import annotations

from collections.abc import Callable

from collector.ingest.batch import Batch
from cube.errors import InvalidRequest


def outcome(read: Callable[[bytes], Batch], text: bytes) -> object:
    """Return the events, size, warnings and places by type that are read of a text, or how it is refused.

    Ids that Cube makes differ each time, so that there is one is all that is told of them.
    """
    try:
        found = read(text)
    except InvalidRequest as error:
        return type(error), error.message, error.details
    rows = [
        (event.type, event.time, "made" if isinstance(event.id, bytes) else event.id, event.data, event.timed)
        for event in found.events
    ]
    places = {type: list(at) for type, at in found.by_type().items()} if found.events else {}
    return repr(rows), found.size, found.warnings, places
