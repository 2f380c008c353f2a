"""What the error codes of a MongoDB server ask of who meets them.

They are facts of ``error_codes.yml`` of the MongoDB server, read from its version 9.0 in development (commit
007ba93 of its repository, 2026); the categories are its own, and codes without one stand under the kind that
their use in the server shows. Codes that are in no table here are a refusal: not the event's fault, and not
one that passes by itself.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


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


def error_kind(code: int) -> ErrorKind:
    """Return what an error code asks for."""
    if code in PASSING:
        return ErrorKind.PASSING
    if code in CREDENTIALS:
        return ErrorKind.CREDENTIALS
    return ErrorKind.RECORD if code in RECORD else ErrorKind.REFUSED
