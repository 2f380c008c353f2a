"""A value that JSON does not allow costs at most its event: over every way in that takes JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from cube import json_text
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import ask

BAD = {
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "too large": b"1e400",
    "half a pair": b'"\\ud83d"',
    "not UTF-8": b'"Z\xfcrich"',
    "5000 digits": b"9" * 5_000,
    "nested": b"[" * 3_000 + b"]" * 3_000,
}
PLACES = dict.fromkeys(BAD, "data.a[0]") | {"nested": "data.a" + "[0]" * 49}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


def native(number: int, value: bytes) -> bytes:
    return b'{"type":"seen","id":%d,"data":{"a":[%b]}}' % (number, value)


def array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


@pytest.mark.parametrize("name", BAD)
async def test_natively_the_answer_names_the_event_and_the_place(stage: Stage, name: str) -> None:
    body = array([native(1, b"1"), native(2, BAD[name]), native(3, b"3")])
    answer = await ask(stage.port, "POST", "/1.0/event", body)
    assert answer.status == 400
    assert answer.json | {"index": 1, "id": 2} == answer.json
    assert PLACES[name][:200] in answer.json["field"]
    assert await stage.types() == []


@pytest.mark.parametrize("name", BAD)
async def test_a_socket_names_them_and_goes_on(stage: Stage, name: str) -> None:
    client = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{stage.port}/1.0/event/put"))
    try:
        body = b'{"ack":7,"events":' + array([native(1, b"1"), native(2, BAD[name])]) + b"}"
        await client.write_message(body, binary=True)
        refusal = json.loads(await client.read_message() or "")
        assert refusal | {"index": 1, "id": 2, "ack": 7} == refusal
        await client.write_message(b'{"ack":8,"events":' + native(3, b"3") + b"}", binary=True)
        assert json.loads(await client.read_message() or "") == {"ack": 8}
    finally:
        client.close()


async def test_of_a_datagram_the_other_events_are_kept(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        for number, value in enumerate(BAD.values()):
            good = [native(2 * number + step, b"1") for step in (0, 1)]
            own.sendto(array([good[0], native(99, value), good[1]]), stage.udp)
    await stage.until_stored("seen", 2 * len(BAD))
    assert stage.figure("cube_udp_dropped_total", reason="invalid") == len(BAD)


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b" "])
async def test_a_byte_order_mark_and_control_characters_do_no_harm(stage: Stage, start: bytes) -> None:
    assert (await ask(stage.port, "POST", "/1.0/event", start + native(1, b'"a\tb"'))).status == 200
    assert [data for _, _, data in await stage.stored("seen")] == [{"a": ["a\tb"]}]


class Form(NamedTuple):
    """How a dialect takes events: ``event`` makes one with a value, ``body`` a request of several."""

    path: str
    event: Callable[[int, bytes], bytes]
    type: str
    media: str = "application/json"
    before: bytes = b"["
    after: bytes = b"]"
    header: str = "Accept"


def cloud(number: int, value: bytes) -> bytes:
    return (
        b'{"specversion":"1.0","id":"%d","source":"/s","type":"seen","subject":"rest","data":{"a":[%b]}}'
        % (number, value)
    )


def segment(number: int, value: bytes) -> bytes:
    return b'{"type":"track","event":"seen","userId":"rest","messageId":"%d","properties":{"a":[%b]}}' % (
        number,
        value,
    )


def tracardi(number: int, value: bytes) -> bytes:
    return b'{"type":"seen","id":"%d","properties":{"note":"rest","a":[%b]}}' % (number, value)


def record(number: int, value: bytes) -> bytes:
    return (
        b'{"timeUnixNano":"%d000000000","severityText":"rest","eventName":"seen",'
        b'"body":{"arrayValue":{"values":[{"stringValue":%b}]}}}' % (1_700_000_000 + number, value)
        if value != b"1"
        else b'{"timeUnixNano":"%d000000000","eventName":"seen"}' % (1_700_000_000 + number)
    )


def snowplow(number: int, value: bytes) -> bytes:
    inner = b'{"schema":"s","data":{"schema":"iglu:a/seen/jsonschema/1-0-0","data":{"a":[%b]}}}' % value
    return b'{"e":"ue","aid":"rest","eid":"%d","ue_pr":%b}' % (number, inner)


def snowplow_text(number: int, value: bytes) -> bytes:
    inner = b'{"schema":"s","data":{"schema":"iglu:a/seen/jsonschema/1-0-0","data":{"a":[%b]}}}' % value
    text = json.dumps(inner.decode("utf-8", "surrogateescape")).encode()
    return b'{"e":"ue","aid":"rest","eid":"%d","ue_pr":%b}' % (number, text)


def collectd(number: int, value: bytes) -> bytes:
    return (
        b'{"values":[%b],"dstypes":["gauge"],"dsnames":["value"],"time":%d,"interval":10,"host":"rest",'
        b'"plugin":"load","plugin_instance":"","type":"load","type_instance":""}'
        % (value, NOW // 1000 + 10 * number)
    )


def passed(number: int, value: bytes) -> bytes:
    return b'{"data":{"note":"rest","number":%d,"a":[%b]}}' % (number, value)


FORMS = {
    "cloudevents": Form("/cloudevents", cloud, "seen", "application/cloudevents-batch+json"),
    "segment": Form("/v1/batch", segment, "seen", before=b'{"batch":[', after=b"]}"),
    "tracardi": Form(
        "/track",
        tracardi,
        "seen",
        before=b'{"source":{"id":"s"},"session":{"id":"x"},"events":[',
        after=b"]}",
    ),
    "otlp": Form(
        "/v1/logs", record, "seen", before=b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[', after=b"]}]}]}"
    ),
    "snowplow": Form("/tp2", snowplow, "seen", before=b'{"data":[', after=b"]}"),
    "snowplow, in text": Form("/tp2", snowplow_text, "seen", before=b'{"data":[', after=b"]}"),
    "collectd": Form("/collectd", collectd, "collectd"),
    "datacoral": Form("/tp2", passed, "passthrough", header="X-Datacoral-Passthrough"),
}


@pytest.mark.parametrize("dialect", FORMS)
async def test_in_a_dialect_the_others_are_stored_and_a_dead_letter_has_the_rest(
    stage: Stage, dialect: str
) -> None:
    form = FORMS[dialect]
    for number, value in enumerate(BAD.values()):
        items = (b"1", value, b"1")
        events = [form.event(3 * number + step, item) for step, item in enumerate(items)]
        body = b"\xef\xbb\xbf" + form.before + b",".join(events) + form.after
        headers = {"Content-Type": form.media, form.header: "true"}
        answer = await ask(stage.port, "POST", form.path, body, headers)
        assert answer.status < 300, (value[:20], answer)
        await expect(stage, form.type, 2 * (number + 1), number + 1)


async def expect(stage: Stage, type: str, stored: int, rejected: int) -> None:
    assert len(await stage.stored(type)) == stored
    letters = [data for _, _, data in await stage.stored("cube_rejected")]
    assert len(letters) == rejected
    assert all("rest" in json.dumps(letter["payload"]) for letter in letters), letters


async def test_an_event_of_the_eye_becomes_a_dead_letter(stage: Stage) -> None:
    for number, value in enumerate(BAD.values(), 1):
        for item in (b"1", value):
            body = (
                b'{"session_id":"s","category":"c","name":"rest","timestamp":"2021-01-01T09:15:%02d",'
                b'"data":{"a":[%b]}}' % (number, item)
            )
            assert (
                await ask(stage.port, "POST", "/api/event/", body, {"Content-Type": "application/json"})
            ).status == 201
        await expect(stage, "eye", number, number)


async def test_bytes_that_are_not_utf_8_cost_nothing_where_they_are_names_and_ids(stage: Stage) -> None:
    """What is hashed, claimed or shown on the way is text that no encoder takes."""
    for form in FORMS.values():
        body = form.before + form.event(1, b"1") + form.after
        for start in (b'"x"', b'"rest"', b'"seen"', b'"load"', b'"u"', b'"track"', b'"s"'):
            wrong = body.replace(start, start[:-1] + b"\xff" + b'"')
            headers = {"Content-Type": form.media, form.header: "true"}
            assert (await ask(stage.port, "POST", form.path, wrong, headers)).status < 500, (form, start)
    letters = await stage.stored("cube_rejected")
    assert letters
    json_text.encode([data for _, _, data in letters]).decode()
