"""Every code of the server's error table has its kind (error_codes.yml of its version 9.0 in development)."""

from __future__ import annotations

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from cube.errors import Unavailable
from cube.store.mongo import error_codes
from cube.store.mongo.calls import answered
from cube.store.mongo.error_codes import ErrorKind, error_kind
from cube.store.mongo.faults import is_unauthorized, refused, rejected_document, unavailable

CATEGORIES = {
    "NetworkError": (6, 7, 89, 317, 384, 9001),
    "NetworkTimeoutError": (89, 202),
    "Interruption": (
        24,
        50,
        237,
        262,
        279,
        281,
        282,
        290,
        355,
        453,
        11600,
        11601,
        11602,
        46841,
        91331,
        10045600,
    ),
    "NotPrimaryError": (189, 10107, 11602, 13435, 13436),
    "StaleShardVersionError": (150, 13388),
    "NeedRetargettingError": (150, 13388),
    "WriteConcernError": (64, 75, 79, 100),
    "ShutdownError": (91, 333, 11600),
    "CancellationError": (90, 91, 310, 312, 333, 355, 11600, 46841),
    "ExceededTimeLimitError": (50, 202, 262, 290, 407),
    "SnapshotError": (239, 246, 250, 272),
    "RetriableError": (
        *(6, 7, 89, 91, 134, 189, 262, 317, 358, 384, 402, 406, 407, 412, 453, 462, 9001),
        *(10107, 11600, 11602, 13435, 13436, 50915, 91331, 10045600),
    ),
    "CloseConnectionError": (303, 354, 372, 398),
    "CursorInvalidatedError": (43, 96, 175, 237, 314),
    "SystemOverloadedError": (433, 449, 450, 462),
}
"""The server's categories of what passes, with all codes that each has."""

WITHOUT_CATEGORY = {
    70: "ShardNotFound",
    82: "NoProgressMade",
    83: "RemoteResultsUnavailable",
    112: "WriteConflict",
    133: "FailedToSatisfyReadPreference",
    216: "ElectionInProgress",
    249: "StaleDbVersion",
    276: "IndexBuildAborted",
    343: "ShardCannotRefreshDueToLocksHeld",
    365: "TemporarilyUnavailable",
    371: "UserWritesBlocked",
    10058: "LegacyNotPrimary",
    14031: "OutOfDiskSpace",
}
OTHERS = (
    0,
    1,
    5,
    8,
    14,
    17,
    20,
    26,
    47,
    48,
    59,
    66,
    72,
    73,
    85,
    86,
    115,
    166,
    171,
    197,
    242,
    11000,
    40415,
    50768,
)


@pytest.mark.parametrize(
    "code", sorted({code for group in CATEGORIES.values() for code in group} | set(WITHOUT_CATEGORY))
)
async def test_what_passes_by_itself_is_unavailable_whatever_its_code(code: int) -> None:
    assert error_kind(code) is ErrorKind.PASSING
    with pytest.raises(Unavailable, match=f"code {code}"):
        async with answered():
            raise OperationFailure("x", code, {"ok": 0.0, "code": code})
    one = BulkWriteError({"writeErrors": [{"index": 0, "code": code, "errmsg": "x"}]})
    assert unavailable(one) is not None
    assert rejected_document(one, 1) is None


@pytest.mark.parametrize("code", [11, 13, 18, 391])
def test_credentials_are_said_and_nobodys_fault(code: int) -> None:
    error = OperationFailure("x", code)
    assert "credentials" in (unavailable(error) or "")
    assert is_unauthorized(error)
    assert rejected_document(error, 1) is None


@pytest.mark.parametrize("code", [2, 9, 22, 52, 57, 121, 10334])
def test_a_document_is_at_fault_for_its_own_codes_alone(code: int) -> None:
    error = BulkWriteError({"writeErrors": [{"index": 1, "code": code, "errmsg": "no good"}]})
    assert unavailable(error) is None
    assert rejected_document(error, 3) == (1, f"no good (code {code})")
    assert rejected_document(OperationFailure("x", code, {"errmsg": "no good", "code": code}), 1) is not None
    assert rejected_document(OperationFailure("x", code), 2) is None, "which of the two it is nobody knows"
    beside = BulkWriteError(
        {"writeErrors": [{"index": 0, "code": 8, "errmsg": "x"}, {"index": 1, "code": code, "errmsg": "x"}]}
    )
    assert rejected_document(beside, 3) is None


@pytest.mark.parametrize("code", OTHERS)
def test_no_other_code_is_a_documents_fault_or_passes(code: int) -> None:
    assert error_kind(code) is ErrorKind.REFUSED
    assert unavailable(OperationFailure("x", code)) is None
    assert (
        rejected_document(BulkWriteError({"writeErrors": [{"index": 0, "code": code, "errmsg": "x"}]}), 1)
        is None
    )


@pytest.mark.parametrize("label", sorted(error_codes.LABELS))
def test_a_label_says_that_it_passes_whatever_the_code(label: str) -> None:
    assert unavailable(OperationFailure("x", 1, {"ok": 0.0, "code": 1, "errorLabels": [label]})) is not None


def test_a_document_that_the_driver_cannot_send_is_at_fault() -> None:
    assert rejected_document(InvalidDocument("too deep"), 1) == (0, "too deep")
    assert rejected_document(InvalidDocument("too deep"), 2) is None


def test_a_refusal_shows_no_data() -> None:
    failure = {"index": 0, "code": 11000, "errmsg": "E11000 index: d.u_1 dup key: { d.u: 'secret' }"}
    assert "secret" not in refused(BulkWriteError({"writeErrors": [failure]}))
    assert unavailable(AutoReconnect("host:1 secret")) == (
        "MongoDB does not answer: see that it runs, and can be reached at its address."
    )


def test_no_code_has_two_kinds() -> None:
    assert not error_codes.PASSING & error_codes.CREDENTIALS
    assert not error_codes.PASSING & error_codes.RECORD
    assert not error_codes.CREDENTIALS & error_codes.RECORD
