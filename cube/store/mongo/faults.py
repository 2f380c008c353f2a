"""Calls to the server, bounded in time, and what their failures are to callers: `Unavailable`, or a fault.

Writes are repeated where an upsert met its own first try, and tell whose fault it is that they fail.

The error codes are facts of ``error_codes.yml`` of the MongoDB server, read from its version 9.0 in
development (commit 007ba93 of its repository, 2026); the categories are its own, and codes without one stand
under the kind that their use in the server shows. Codes that are in no table here are a refusal: not the
event's fault, and not one that passes by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Final

import pymongo
from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from cube.errors import Unavailable
from cube.model.event import Event

OPERATION_SECONDS = 60.0
"""No single call to the server takes longer, whatever the client's own timeouts are."""

WRITE_SECONDS = 45.0
"""The server itself ends a write after so long (``maxTimeMS``): none lands long after we gave it up."""

PAUSE_SECONDS = 60.0
"""The same sentence is logged again after so long."""

_MAX_SENTENCES = 100
_ATTEMPTS = 5


class ErrorKind(Enum):
    """What an error asks of who meets it."""

    PASSING = "passes when the server, or another one, is well again"
    CREDENTIALS = "asks an administrator for a right, a user or a password"
    RECORD = "is the fault of the document that is written, and of nothing else"
    REFUSED = "is not one of these: the server refuses the command"


_NETWORK = (6, 7, 89, 202, 317, 384, 9001)
_NOT_PRIMARY = (189, 10058, 10107, 11602, 13435, 13436)
_SHUTDOWN = (91, 333, 372, 11600)
_INTERRUPTED = (24, 50, 90, 237, 262, 279, 281, 282, 290, 310, 312, 355, 453, 11601, 46841, 91331, 10045600)
_WRITE_CONCERN = (64, 75, 79, 100)
_ROUTING = (
    *(61, 63, 70, 71, 74, 82, 83, 117, 133, 137, 149, 150, 200, 203, 227, 249, 250, 272, 319, 338, 341),
    *(342, 343, 360, 366, 379, 406, 414, 431, 445, 9996, 13388, 56846, 640570, 640571),
)
_OVERLOAD = (208, 261, 264, 365, 402, 407, 412, 433, 449, 450, 462)
_STORAGE = (112, 134, 145, 239, 246, 371, 388, 14031, 50915)
_CURSORS = (43, 96, 136, 143, 175, 314)
_SETS = (
    *(94, 95, 107, 129, 135, 172, 173, 174, 190, 199, 206, 209, 211, 216, 217, 225, 230, 231, 251, 308),
    *(358, 363),
)
_BUILDS = (46, 215, 221, 276, 278, 285, 12586, 12587)
_CONNECTIONS = (303, 354, 398)

PASSING: Final = frozenset((
    *_NETWORK, *_NOT_PRIMARY, *_SHUTDOWN, *_INTERRUPTED, *_WRITE_CONCERN, *_ROUTING, *_OVERLOAD,
    *_STORAGE, *_CURSORS, *_SETS, *_BUILDS, *_CONNECTIONS,
))  # fmt: skip
CREDENTIALS: Final = frozenset((11, 13, 18, 31, 33, 334, 337, 391, 392, 8000))
"""8000 is Atlas' own (AtlasError), which it answers to users that it does not know or let."""

RECORD: Final = frozenset((2, 9, 22, 52, 57, 121, 10334))
"""BadValue, FailedToParse, InvalidBSON, DollarPrefixedFieldName, DottedFieldName, DocumentValidationFailure,
BSONObjectTooLarge: each only as the error of one document's write."""

LABELS: Final = frozenset(
    ("RetryableWriteError", "RetryableError", "SystemOverloadedError", "TransientTransactionError")
)
"""Labels that a server or the driver puts on what passes, whatever its code."""

DUPLICATE_KEY = 11000


class RejectedEvent(Exception):
    """The server, or its driver, refuses one event for its own sake."""

    def __init__(self, event: Event, reason: str) -> None:
        super().__init__(reason)
        self.event = event
        self.reason = reason


@asynccontextmanager
async def answered(seconds: float | None = None) -> AsyncIterator[None]:
    """Bound the time of calls to the server (None: `OPERATION_SECONDS`), and raise `Unavailable` over it.

    Every other error passes as it is. The messages name no address: a URL may hold a password.
    """
    seconds = OPERATION_SECONDS if seconds is None else seconds
    task = asyncio.current_task()
    cancelling = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(seconds):
            yield
        # PyMongo waits with `wait_for`, which may swallow a cancellation in Python 3.11.
        if task is not None and task.cancelling() > cancelling:
            raise asyncio.CancelledError
    except TimeoutError:
        raise Unavailable(f"MongoDB did not answer within {seconds:g} s.") from None
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > cancelling:
            raise
        # Nobody cancelled us: what we waited for in PyMongo was, as it gave up a connection.
        raise Unavailable("MongoDB's connection was given up.") from error
    except PyMongoError as error:
        sentence = unavailable(error)
        if sentence is None:
            raise
        raise Unavailable(sentence) from error


@asynccontextmanager
async def written() -> AsyncIterator[None]:
    """Bound a write as `answered` does, and have the server end it by itself after `WRITE_SECONDS`.

    PyMongo's own timeout repeats a retryable write for as long, so an ordinary election is outlived.
    """
    async with answered():
        with pymongo.timeout(WRITE_SECONDS):
            yield


@asynccontextmanager
async def storing(events: Sequence[Event]) -> AsyncIterator[None]:
    """Bound a write of a document for each of some events; raise `RejectedEvent` where one is at fault."""
    try:
        async with written():
            yield
    except (PyMongoError, BSONError) as error:
        found = rejected_document(error, len(events))
        if found is None:
            raise
        place, reason = found
        raise RejectedEvent(events[place], reason) from error


async def fetched(cursor: Any) -> list[dict[str, Any]]:
    """Return all documents that a cursor has."""
    async with answered():
        documents: list[dict[str, Any]] = await cursor.to_list(None)
    return documents


async def upsert(collection: Any, changes: Sequence[Any]) -> None:
    """Write changes, if there are any, that may be repeated, in order.

    Two first upserts of one document may collide, or one with its own first try whose reply was lost:
    then all is written again.
    """
    for attempt in range(_ATTEMPTS if changes else 0):
        try:
            async with written():
                await collection.bulk_write(changes, ordered=True)
            return
        except BulkWriteError as error:
            if only_duplicates(error) is None or attempt == _ATTEMPTS - 1:
                raise


def unavailable(error: PyMongoError) -> str | None:
    """Return one sentence if the error means that the store cannot be used now; None if it does not."""
    match error:
        case ExecutionTimeout():
            return "MongoDB ended an operation that took longer than it may."
        case WriteConcernError():
            return "MongoDB did not confirm in time that a majority of its servers holds the write on disk."
        case ConnectionFailure():
            return "MongoDB does not answer: see that it runs, and can be reached at its address."
        case ConfigurationError() if type(error.__cause__).__module__.startswith("dns."):
            # a mongodb+srv name is looked up at the first call
            return "MongoDB's addresses cannot be looked up: see the name in the store URL, and the DNS."
        case OperationFailure():
            return _refusal(error)
        case _ if is_passing(error):
            return "MongoDB cannot do this now: ask again a little later."
        case _:
            return None


def refused(error: Exception, what: str = "store events") -> str:
    """Return one sentence for an error that keeps us from what we do with events and is not their fault."""
    if isinstance(error, OperationFailure):
        code = next(_codes(error))
        failures = (error.details or {}).get("writeErrors") or [error.details or {}]
        reason = _reason(failures[0]).partition(" dup key")[0]  # what follows is data
        return f"MongoDB refuses to {what} (code {code}{_name(error)}): {reason}."
    return f"MongoDB's driver refuses to {what} ({type(error).__name__})."


def is_passing(error: PyMongoError) -> bool:
    """Tell by its labels whether an error passes when the server is well again."""
    details = getattr(error, "details", None) or {}
    labels = {*details.get("errorLabels", ()), *(label for label in LABELS if error.has_error_label(label))}
    return not labels.isdisjoint(LABELS)


def is_unauthorized(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is a right or a password that is missing."""
    while error is not None:
        if isinstance(error, OperationFailure) and ErrorKind.CREDENTIALS in map(error_kind, _codes(error)):
            return True
        error = error.__cause__
    return False


def rejected_document(error: Exception, count: int) -> tuple[int, str] | None:
    """Return the place, among `count` documents, of one that is refused for its own sake, and why.

    None where the error may be about anything else: then the documents are to be kept.
    """
    if isinstance(error, BulkWriteError):
        failures = error.details.get("writeErrors", [])
        others = [one for one in failures if not _is_duplicate_id(one)]
        own = [one for one in others if error_kind(one.get("code") or 0) is ErrorKind.RECORD]
        if error.details.get("writeConcernErrors") or len(own) < len(others):
            return None
        return (own[0]["index"], _reason(own[0])) if own else None
    if count == 1 and isinstance(error, OperationFailure) and error_kind(error.code or 0) is ErrorKind.RECORD:
        return (0, _reason(error.details or {}))
    if count == 1 and isinstance(error, BSONError):  # a document that the driver cannot send
        return (0, str(error))
    return None


def only_duplicates(error: BulkWriteError) -> list[int] | None:
    """Return the places of the writes that failed because their ``_id`` is there already.

    None if anything else failed as well, a unique index on another field included.
    """
    if error.details.get("writeConcernErrors"):
        return None
    failed: list[dict[str, Any]] = error.details.get("writeErrors", [])
    return [one["index"] for one in failed] if all(map(_is_duplicate_id, failed)) else None


def without_credentials(url: str) -> str:
    """Return a store URL without user, password and options, for messages.

    A password may hold unescaped characters: nothing before the last ``@`` is shown, and where that
    stands behind a ``?`` nothing at all is.
    """
    scheme, _, rest = url.partition("://")
    before, _, hosts = rest.rpartition("@")
    return f"{scheme}://..." if "?" in before else f"{scheme}://{hosts.partition('?')[0]}"


def _refusal(error: OperationFailure) -> str | None:
    kinds = set(map(error_kind, _codes(error)))
    if is_passing(error) or ErrorKind.PASSING in kinds:
        return f"MongoDB cannot do this now (code {next(_codes(error))}{_name(error)})."
    if ErrorKind.CREDENTIALS in kinds:
        return (
            f"MongoDB refuses our credentials (code {next(_codes(error))}{_name(error)}):"
            " check the user, its password and its rights."
        )
    if error.details and error.details.get("writeConcernErrors"):
        return "MongoDB did not confirm that a majority of its servers holds the write on disk."
    return None


def _reason(failure: Mapping[str, Any]) -> str:
    text = " ".join(str(failure.get("errmsg") or "no reason given").split())[:200]
    return f"{text} (code {failure.get('code')})"


def _name(error: OperationFailure) -> str:
    name = (error.details or {}).get("codeName")
    return f" {name}" if name else ""


def _is_duplicate_id(failure: dict[str, Any]) -> bool:
    if failure.get("code") != DUPLICATE_KEY:
        return False
    pattern = failure.get("keyPattern")
    if pattern is not None:
        return list(pattern) == ["_id"]
    return "_id_ " in failure.get("errmsg", "")


def _codes(error: OperationFailure) -> Iterator[int]:
    details = error.details or {}
    for failure in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())):
        yield failure.get("code") or 0
    yield error.code or 0


def error_kind(code: int) -> ErrorKind:
    """Return what an error code asks for."""
    if code in PASSING:
        return ErrorKind.PASSING
    if code in CREDENTIALS:
        return ErrorKind.CREDENTIALS
    return ErrorKind.RECORD if code in RECORD else ErrorKind.REFUSED


class ThrottledLog:
    """Logs each sentence as an error, at most once in `PAUSE_SECONDS`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}

    def error(self, sentence: str) -> None:
        """Log a sentence, unless that was done just now."""
        now = time.monotonic()
        if now - self._said.get(sentence, -PAUSE_SECONDS) < PAUSE_SECONDS:
            return
        if len(self._said) >= _MAX_SENTENCES:
            self._said.clear()
        self._said[sentence] = now
        self._log.error("%s", sentence)
