"""Snowplow and Datacoral: what is packed comes out again, and no input is a fault."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from collector.protocols import datacoral
from collector.protocols.shared.dialect import Translation
from collector.protocols.snowplow.mapping import KINDS
from collector.protocols.snowplow.parameters import PARAMETERS
from cube.errors import InvalidEvent
from cube.model.event import ABSENT, Event
from cube.web.http1 import put_right
from tests.dialect_request import NOW
from tests.unit.snowplow_requests import draft_of, packed, posted, request, shown, translated, unstruct

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [*PARAMETERS, "e", "eid", "ttm", "dtm", "ue_pr", "ue_px", "co", "cx", "nuid", "tnuid", "ip", "ua", "own"]
)
KIND = st.sampled_from(["ue", *KINDS])
SENT = st.dictionaries(NAMES, VALUES | st.sampled_from(["1", "1.5", "1x1", "e30=", "{}"]), max_size=8)


def check(translation: Translation) -> None:
    """Every draft is an event, or refused like one; and an answer is owed in any case."""
    for draft in translation.drafts:
        with suppress(InvalidEvent):
            Event.parse(
                {"type": "t", "time": draft.time, "id": draft.id, "data": draft.data},
                now=NOW,
                unit_known=True,
            )
    assert all(rejection.reason.endswith(".") for rejection in translation.rejections)
    assert translation.reply(translation.rejections).status == 200


@given(VALUES, st.booleans())
def test_what_a_tracker_packs_is_what_is_stored(value: Any, padded: bool) -> None:
    schema = "iglu:com.acme/thing/jsonschema/1-0-0"
    encoded = shown({"e": "ue", "eid": "1", "ue_px": packed(unstruct(schema, [value]), padded=padded)})
    plain = shown({"e": "ue", "eid": "1", "ue_pr": json.dumps(unstruct(schema, [value]))})
    assert draft_of(encoded).data["event"] == draft_of(plain).data["event"]
    assert len(draft_of(plain).data["event"]) == 1


@given(KIND, SENT)
def test_no_event_is_a_fault(kind: str, sent: dict[str, Any]) -> None:
    check(posted({"e": kind} | sent))
    check(shown({"e": kind} | sent))


@given(SENT, st.integers(0, 10**13))
def test_an_event_sent_again_is_the_same_event(sent: dict[str, Any], stm: int) -> None:
    first, again = (posted({"e": "pv"} | sent | {"stm": str(at)}) for at in (stm, stm + 700))
    assert [(draft.id, draft.time) for draft in first.drafts] == [
        (draft.id, draft.time) for draft in again.drafts
    ]
    assert all(draft.id is not ABSENT or draft.time is ABSENT for draft in first.drafts)


@given(st.binary(), st.booleans())
def test_no_body_is_a_fault(body: bytes, passes: bool) -> None:
    made = request("POST", "/tp2", body, {"x-datacoral-passthrough": "true"} if passes else {})
    datacoral.credentials(made)
    check(translated(made))


@given(VALUES, st.booleans())
def test_no_json_is_a_fault(body: Any, passes: bool) -> None:
    made = request(
        "POST",
        "/tp2",
        json.dumps([body, "x_"]).encode(),
        {"x-datacoral-passthrough": "true"} if passes else {},
    )
    datacoral.credentials(made)
    check(translated(made))


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40), TEXT)
def test_no_query_is_a_fault(query: str, env: str) -> None:
    made = request("GET", f"/i?{query}&{urlencode({'env': env})}")
    datacoral.credentials(made)
    check(translated(made))


@given(st.lists(st.sampled_from([b"X-Api-Key", b"Host", b" ", b"\t", b":", b"\r\n", b"\n", b"\r", b"a"])))
def test_only_blanks_before_a_colon_ever_go_from_a_head(parts: list[bytes]) -> None:
    head = b"".join(parts)
    right = put_right(head)
    assert [word.strip() for word in right.split(b":")] == [word.strip() for word in head.split(b":")]
    assert [line.startswith((b" ", b"\t")) for line in right.split(b"\n")] == [
        line.startswith((b" ", b"\t")) for line in head.split(b"\n")
    ]
