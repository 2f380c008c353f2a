"""Loki's push API: ``/loki/api/v1/push``. Lines are events of type ``log``, or of that of a label.

Source: Loki's HTTP API, and what the senders named in ``docs/dialects/loki.md`` make of its answers: some
take 204 alone for success, and send what met anything else again for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from collector.protocols.loki.push import LogLine, WrongLine, as_object, from_json, from_protobuf
from collector.protocols.shared.dialect import (
    MAX_ITEMS,
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import hashed
from cube.errors import CubeError, InvalidRequest
from cube.model import instant
from cube.web import Reply, Request, error_reply, media_type

TYPE_LABEL: Final = "cube_type"
"""The label that names the type of a stream's lines; without it they are of type `OTHERWISE`."""

OTHERWISE: Final = "log"

_PROTOBUF: Final = "application/x-protobuf"
_DIGEST: Final = 26  # of the id; before it stand the six digits below a millisecond, which keep the order


def push(request: Request, _: RequestContext) -> Translation:
    """Read streams; a line that is wrong costs no other, and is no error to who sent it."""
    is_packed = media_type(request) == _PROTOBUF
    read = from_protobuf(request.body, request.hold) if is_packed else from_json(request.body)
    lines = list(islice(read, MAX_ITEMS + 1))
    check_count(len(lines))
    return translate_each(lines, draft, _done, payload=_source)


def draft(line: LogLine | WrongLine) -> Draft:
    """Make the event of a line. Raises `InvalidRequest`."""
    if isinstance(line, WrongLine):
        raise InvalidRequest(line.reason)
    milliseconds, rest = divmod(line.time, 10**6)
    if not instant.EARLIEST_PLAUSIBLE <= milliseconds <= instant.LATEST:
        raise InvalidRequest(
            f"Got the time {line.time}; accepted are nanoseconds since 1970, from 1973 to the year 9999."
        )
    name = line.labels.get(TYPE_LABEL)
    is_named = isinstance(name, str) and bool(name)
    same = hashed([line.labels, str(line.time), line.line, line.metadata])
    return Draft(
        str(name) if is_named else OTHERWISE,
        time=milliseconds,
        id=f"{rest:06}{same[:_DIGEST]}",
        data=_data(line),
        source=_source(line),
        fixed=not is_named,
    )


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error as Loki does, in plain text."""
    status = error_reply(error, request.id).status
    return Reply(f"{error.message}\n".encode(), status, "text/plain; charset=utf-8")


def dialect() -> Dialect:
    """Return the dialect."""
    paths = ("/loki/api/v1/push", "/api/prom/push")
    endpoint = Endpoint(paths, {"POST": push}, "Store lines of log as events.", unpacks=("snappy",))
    return Dialect("loki", (endpoint,), refuse=refuse, spooled=204, password_is_key=True)


def _done(_: Sequence[Rejection]) -> Reply:
    return Reply(b"", 204)


def _data(line: LogLine) -> dict[str, Any]:
    labels = {name: value for name, value in line.labels.items() if name != TYPE_LABEL}
    fields = as_object(line.line)
    data: dict[str, Any] = {
        "labels": labels,
        **({"line": line.line} if fields is None else {"fields": fields}),
    }
    return data | ({"metadata": dict(line.metadata)} if line.metadata else {})


def _source(line: LogLine | WrongLine) -> Any:
    if isinstance(line, WrongLine):
        return line.source
    return {"stream": line.labels, "values": [str(line.time), line.line, line.metadata]}
