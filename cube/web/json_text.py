"""JSON in and out: strict, and every refusal an `InvalidRequest` with a sentence."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec

from cube.errors import InvalidRequest

THREAD_BYTES = 256 * 1024
"""Longer texts are decoded in a thread: 16 MiB take about 0.2 s, too long for the event loop."""

_INDEX = re.compile(r"`\$\[([0-9]+)\]")


def decode(text: bytes | str) -> Any:
    """Read one JSON text (RFC 8259: UTF-8, no byte order mark, no NaN; of equal keys the last counts).

    Raises `InvalidRequest`; its ``index`` is the item of an outermost array that cannot be read, where
    the decoder knows it.
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply to be read.") from None
    except UnicodeError:
        raise InvalidRequest("Got text that is not UTF-8; accepted is JSON in UTF-8.") from None
    except msgspec.DecodeError as error:
        raise _refused(error) from None


async def decode_aside(text: bytes | str) -> Any:
    """Do what `decode` does, in a thread where it could hold the event loop for long."""
    if len(text) <= THREAD_BYTES:
        return decode(text)
    return await asyncio.get_running_loop().run_in_executor(None, decode, text)


def encode(value: Any) -> bytes:
    """Write a value as compact JSON (datetimes come out with microseconds: make them text before)."""
    return _ENCODER.encode(value)


def _refused(error: msgspec.DecodeError) -> InvalidRequest:
    reason = str(error)
    found = _INDEX.search(reason)
    reason = reason.removeprefix("JSON is malformed: ")
    message = f"The text is not JSON that can be read: {reason[:1].lower()}{reason[1:]}."
    return InvalidRequest(message, index=int(found[1]) if found else None)


_ENCODER = msgspec.json.Encoder()
