"""What MongoDB's failures are to callers: `Unavailable`, or a fault that is left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from cube.errors import Unavailable

OPERATION_SECONDS = 60.0
"""No single call to the server takes longer, whatever the client's own timeouts are."""

# error_codes.yml of the MongoDB server: what passes when the server, or another one, is well again.
_PASSING_CODES = frozenset({
    6,  # HostUnreachable
    7,  # HostNotFound
    43,  # CursorNotFound
    50,  # MaxTimeMSExpired
    64,  # WriteConcernFailed
    79,  # UnknownReplWriteConcern
    89,  # NetworkTimeout
    91,  # ShutdownInProgress
    100,  # UnsatisfiableWriteConcern
    133,  # FailedToSatisfyReadPreference
    175,  # QueryPlanKilled
    189,  # PrimarySteppedDown
    262,  # ExceededTimeLimit
    9001,  # SocketException
    10058,  # LegacyNotPrimary
    10107,  # NotWritablePrimary
    11600,  # InterruptedAtShutdown
    11602,  # InterruptedDueToReplStateChange
    13435,  # NotPrimaryNoSecondaryOk
    13436,  # NotPrimaryOrSecondary
    14031,  # OutOfDiskSpace
})  # fmt: skip
_DUPLICATE_KEY = 11000


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


def unavailable(error: PyMongoError) -> str | None:
    """Return one sentence if the error means that the store does not answer; None if it does not."""
    match error:
        case ExecutionTimeout():
            return "MongoDB ended an operation that took longer than it may."
        case WriteConcernError():
            return "MongoDB did not confirm in time that a majority of its servers holds the write on disk."
        case ConnectionFailure():
            return f"MongoDB does not answer ({type(error).__name__})."
        case OperationFailure() if any(code in _PASSING_CODES for code in _codes(error)):
            return f"MongoDB cannot do this now (code {next(_codes(error))})."
        case OperationFailure() if error.details and error.details.get("writeConcernErrors"):
            return "MongoDB did not confirm that a majority of its servers holds the write on disk."
        case _:
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


def _is_duplicate_id(failure: dict[str, Any]) -> bool:
    if failure.get("code") != _DUPLICATE_KEY:
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
