"""What the daemons answer when something is wrong, turned back into `cube.errors`."""

from __future__ import annotations

from typing import Any

import msgspec

from cube.errors import (
    AccessDenied,
    CubeError,
    InvalidExpression,
    InvalidRequest,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
)

_KINDS: dict[int, type[CubeError]] = {
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    413: TooLarge,
    429: Overloaded,
    503: Unavailable,
}


def error_of(status: int, content: bytes, retry_after: str | None = None) -> CubeError:
    """Return the error that a reply tells: its sentence, and its other keys as details."""
    details = _object(content)
    message = str(details.pop("error", f"The server answered {status}."))
    kind = _KINDS.get(status, InvalidRequest if 400 <= status < 500 else CubeError)
    if kind in (Overloaded, Unavailable):
        seconds = int(retry_after) if retry_after and retry_after.isdigit() else 1
        return kind(message, retry_after_seconds=max(1, seconds), answered=True)
    line, column = details.get("line"), details.get("column")
    if kind is InvalidRequest and isinstance(line, int) and isinstance(column, int):
        return InvalidExpression(message, line=line, column=column)
    return kind(message, **details)


def _object(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:  # a proxy's page, or nothing
        return {}
