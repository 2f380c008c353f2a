"""Dialects that take events in a query: text in it is UTF-8, or its event is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector_stage import Stage, staged
from tests.web_client import ask

WAYS = {
    "snowplow": ("GET", "/i?e=pv&page=%s", "page_view", lambda data: data["page"]["title"]),
    "snowplow's body": ("POST", "/tp2?page=%s", "page_view", lambda data: data["page"]["title"]),
    "tracardi": ("GET", "/collect/seen/s?city=%s", "seen", lambda data: data["properties"]["city"]),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


async def send(stage: Stage, method: str, target: str) -> int:
    body = b'{"data":[{"e":"pv"}]}' if method == "POST" else None
    answer = await ask(stage.port, method, target, body)
    return answer.status


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("written", ["Z%C3%BCrich", "Z\u00c3\u00bcrich"], ids=["escaped", "raw"])
async def test_it_is_read_as_utf_8(stage: Stage, way: str, written: str) -> None:
    """The second is what a client that escapes nothing has on the wire, its bytes as Latin-1."""
    method, target, type, city = WAYS[way]
    assert await send(stage, method, target % written) == 200
    ((_, _, data),) = await stage.stored(type)
    assert city(data) == "Zürich"


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_not_utf_8_is_refused_with_its_rest(stage: Stage, way: str) -> None:
    method, target, type, _ = WAYS[way]
    assert await send(stage, method, target % "Z%FCrich") == (406 if way == "tracardi" else 200)
    events = [data for _, _, data in await stage.stored(type)]
    if method == "POST":  # the query is not the event itself
        assert ["page" in data for data in events] == [False]
    else:
        assert events == []
    ((_, _, letter),) = await stage.stored("cube_rejected")
    assert "rich" in str(letter["payload"])


async def test_the_eye_is_asked_in_utf_8(stage: Stage) -> None:
    event: Any = (
        b'{"session_id":"s","category":"Z\xc3\xbcrich","name":"n","timestamp":"2021-01-01T09:15:27","data":1}'
    )
    assert (await ask(stage.port, "POST", "/api/event/", event)).status == 201
    for written in ("Z%C3%BCrich", "Z\u00c3\u00bcrich"):
        answer = await ask(stage.port, "GET", f"/api/event/?category={written}")
        assert (answer.status, answer.json["count"]) == (200, 1)
        assert answer.json["results"][0]["category"] == "Zürich"
    assert (await ask(stage.port, "GET", "/api/event/?category=Z%FCrich")).status == 400
