"""Boards and definitions, kept under names: who may change them, at which revision, and what is told of it.

Who saves or deletes says in ``If-Match`` which revision that is a change of, or in ``If-None-Match: *`` that
there is none yet; so of two who change one at once, the second is told (412), and overwrites nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from cube import json_text
from cube.errors import AccessDenied, InvalidQuery, shown
from cube.model import instant
from cube.model.environment import Caller, Scope
from cube.store.record_ports import ANY_REVISION, NO_REVISION, StoredText
from cube.web import Reply, Request
from cube.web.error_replies import HttpRefusal
from cube.web.route import Parameter
from evaluator.api.json_schema import TEXT, TIME, annotated

CHANGED: Final = {412: "Somebody else has changed it.", 428: "The request does not name a revision."}
"""What a change is refused with."""

TAG: Final = {"ETag": "The revision, in quotes: for If-Match of a change."}

_KNOWN: Final = "What the client has: 304 where that is the revision still."
_EXPECTED: Final = "The ETag that it was read with; *: whatever is there."
READ_IF: Final = (Parameter("If-None-Match", _KNOWN, place="header"),)
DELETE_IF: Final = (Parameter("If-Match", _EXPECTED, place="header"),)
SAVE_IF: Final = (*DELETE_IF, Parameter("If-None-Match", "*: only where there is none.", place="header"))
"""The headers that say which revision is meant."""

STAMP: Final = {
    "revision": {"type": "integer"},
    "saved": TIME,
    "by": annotated(TEXT, "The id of the key that saved it; empty without one."),
}
"""The JSON Schema of what `stamp` tells, by name."""

_MOST_REVISION: Final = 2**53 - 1  # what a double, and so every JSON reader, holds exactly
# Proxies that compress mark it: nginx as weak, others with -gzip. It names one content all the same.
_ETAG = re.compile('(?:W/)?"?([0-9]{1,16})(?:--?[a-z]{1,9})?"?')


def new_revision() -> int:
    """Return the revision of a save: a random one."""
    return 1 + secrets.randbelow(_MOST_REVISION)


def new_text(name: str, content: str, caller: Caller, now: int) -> StoredText:
    """Return what a caller saves under a name, at a revision of its own."""
    return StoredText(name, new_revision(), now, content, caller.key_id, now)


def stamp(stored: StoredText) -> dict[str, Any]:
    """Return what an answer tells of a text's last save."""
    return {"revision": stored.revision, "saved": instant.format(stored.saved), "by": stored.by}


def revision_headers(revision: int) -> tuple[tuple[str, str], ...]:
    """Return the header that tells a revision."""
    return (("ETag", f'"{revision}"'),)


def saved_reply(entry: Mapping[str, Any], expected: int) -> Reply:
    """Answer a save with what is told of it; ``expected``: the revision that it was a change of."""
    status = HTTPStatus.CREATED if expected == NO_REVISION else HTTPStatus.OK
    return Reply(json_text.encode(entry), status, headers=revision_headers(entry["revision"]))


def is_known(request: Request, revision: int) -> bool:
    """Tell whether the client has what is at a revision already."""
    known = map(_ETAG.fullmatch, map(str.strip, request.headers.get("If-None-Match", "").split(",")))
    return any(found is not None and int(found[1]) == revision for found in known)


def expected_revision(request: Request) -> int:
    """Return the revision that a change is one of; raises `InvalidQuery`, or 428 where none is named."""
    match, none = (request.headers.get(name, "").strip() for name in ("If-Match", "If-None-Match"))
    if none == "*" and not match:
        return NO_REVISION
    if match == "*" and not none:
        return ANY_REVISION
    found = _ETAG.fullmatch(match)
    if found is not None and not none and 0 < int(found[1]) <= _MOST_REVISION:
        return int(found[1])
    told = "accepted are If-Match with the ETag that it was read with, or *, and If-None-Match: *."
    if match or none:
        raise InvalidQuery(f"Got If-Match {shown(match)} and If-None-Match {shown(none)}; {told}")
    raise HttpRefusal(428, f"Got a change without the revision that it is a change of; {told}")


def writer(request: Request, what: str) -> Caller:
    """Return who may change boards, or definitions: public pages have keys of scope write alone."""
    if not may_write(request.admitted):
        raise AccessDenied(
            f"The key does not allow to change {what}; accepted is one with the scopes read and write, for"
            " all types and without a filter."
        )
    return request.admitted


def may_write(caller: Caller) -> bool:
    """Tell whether a caller may change what all see."""
    return caller.key is None or (Scope.WRITE in caller.key.scopes and not is_restricted(caller))


def is_restricted(caller: Caller) -> bool:
    """Tell whether a caller's key has types or a filter."""
    return caller.key is not None and (caller.key.types is not None or bool(caller.key.filter))
