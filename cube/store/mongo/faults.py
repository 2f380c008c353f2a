"""What an error of the server or its driver means: that the store is away, or that an event is at fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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

from cube.store.mongo.error_codes import DUPLICATE_KEY, LABELS, ErrorKind, error_kind


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
