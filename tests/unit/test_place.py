"""Cursors: texts that say where a walk through events is."""

from __future__ import annotations

import base64

import msgspec
import pytest

from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import EventId
from cube.model.place import EventPlace, cursor, parse_cursor, rough

IDS: list[EventId | None] = [None, 0, -1, 2**63 - 1, 0.5, "", "a", "😀" * 512, b"\x00" * 12, b"\xff" * 12]


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("time", [instant.EARLIEST, 0, 1_310_947_200_000, instant.LATEST])
def test_a_cursor_is_read_as_the_place_that_it_was_made_of(time: int, id: EventId | None) -> None:
    for asked in (None, 1_310_947_200_000):
        read = parse_cursor(cursor(EventPlace(time, id), asked))
        assert read == (EventPlace(time, id), asked)
        assert type(read.place.id) is type(id)


def test_a_cursor_needs_no_escape_in_a_url() -> None:
    for id in IDS:
        assert cursor(EventPlace(0, id)).replace("-", "a").replace("_", "a").isalnum()


def _packed(*values: object) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(values)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "!!!!",
        cursor(EventPlace(1, "abc"))[:-2],
        cursor(EventPlace(1, "abc")) + "=",
        "A" * 100_000,
        5,
        None,
        _packed(3, 0, 0),
        _packed(2, 0, 0),
        _packed(2, 0, 0, True),
        _packed(1, 0, 0, 0),
        _packed(1, 0),
        _packed(1, instant.LATEST + 1, 0),
        _packed(1, "0", 0),
        _packed(1, 0, True),
        _packed(1, 0, [1]),
        _packed(1, 0, b"x"),
        _packed(1, 0, float("nan")),
        _packed(1, 0, 2**63),
    ],
)
def test_what_no_answer_gave_is_refused_with_a_sentence(text: object) -> None:
    with pytest.raises(InvalidRequest, match=r"^Got the cursor .*; accepted is one that an answer gave\.$"):
        parse_cursor(text)


def test_an_event_is_passed_up_to_the_id_of_the_place_in_the_direction_of_the_walk() -> None:
    ids: list[EventId] = [-1, 0.5, 1, "A", "a", b"\x00" * 12, b"\xff" * 12]
    for number, id in enumerate(ids):
        place = EventPlace(0, id)
        assert [place.is_passed(each, downwards=False) for each in ids] == [
            other <= number for other in range(len(ids))
        ]
        assert [place.is_passed(each, downwards=True) for each in ids] == [
            other >= number for other in range(len(ids))
        ]
    assert not any(EventPlace(0, None).is_passed(each, downwards=False) for each in ids)


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("time", "since", "edge"),
    [
        (10 * HOUR + 1, 8 * HOUR + 5, 10 * HOUR),
        (10 * HOUR + 1, 10 * HOUR, None),
        (10 * HOUR + 1, 10 * HOUR - 1, 10 * HOUR),
        (8 * HOUR + 1, 10 * HOUR, 9 * HOUR),
        (10 * HOUR - 1, 10 * HOUR, None),
        (HOUR + 1_001, HOUR + 3, HOUR + 1_000),
        (HOUR + 999, HOUR + 3, None),
    ],
)
def test_a_rough_time_is_that_of_no_event_and_halfway_there_at_least(
    time: int, since: int, edge: int | None
) -> None:
    assert rough(time, since) == edge
