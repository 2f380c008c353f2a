"""``DELETE /1.0/event``: who may, what is refused, what is told and logged."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.protocols import deletion
from cube.model import instant
from cube.model.environment import DEFAULT, Environment, Scope
from cube.model.event import Event
from cube.settings import CollectorLimits, CollectorSettings
from tests.authenticators import key
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import Answer, ask

X = 'request.eq(user, "x")'
READER = key("cube_reader_key", Scope.READ, Scope.WRITE)
OWNER = key("cube_owner_key", Scope.DELETE)
ACME = key("cube_acme_key", Scope.DELETE, filter='eq(customer, "acme")')
ONE_TYPE = key("cube_type_key", Scope.DELETE, types=frozenset({"other"}))


@pytest.fixture
async def open_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A collector without keys, where anybody may delete."""
    async with staged(tmp_path, CollectorSettings(limits=CollectorLimits(keyless_deletion=True))) as made:
        await fill(made)
        yield made


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A collector with keys, and an open environment for those who have none."""
    settings = replace(
        CollectorSettings(),
        environments=(Environment(DEFAULT, "test", open=True),),
        keys=(READER, OWNER, ACME, ONE_TYPE),
        udp_trusted=True,
    )
    async with staged(tmp_path, settings) as made:
        await fill(made)
        yield made


async def fill(stage: Stage) -> None:
    events = [
        {
            "type": "request",
            "id": id,
            "time": NOW + id,
            "data": {"user": "xy"[id % 2], "customer": "acme" if id < 4 else "other"},
        }
        for id in range(8)
    ]
    answer = await ask(stage.port, "POST", "/1.0/event", json.dumps(events).encode())
    assert answer.status == 200


async def delete(stage: Stage, secret: str | None = None, **parameters: Any) -> Answer:
    headers = {} if secret is None else {"X-Api-Key": secret}
    return await ask(stage.port, "DELETE", f"/1.0/event?{urlencode(parameters)}", headers=headers)


async def left(stage: Stage) -> list[Any]:
    return [id for _, id, _ in await stage.stored("request")]


async def test_what_an_expression_selects_is_deleted(open_stage: Stage) -> None:
    counted = await delete(open_stage, expression=X, count="true")
    assert (counted.status, counted.json) == (200, {"events": 4})
    assert len(await left(open_stage)) == 8

    deleted = await delete(open_stage, expression=X)
    assert (deleted.status, deleted.json) == (200, {"deleted": 4})
    assert await left(open_stage) == [1, 3, 5, 7]
    assert (await delete(open_stage, expression=X)).json == {"deleted": 0}


async def test_times_bound_it_and_may_be_relative(open_stage: Stage) -> None:
    bounds = {"start": NOW + 2, "stop": "2011-07-19T00:00:00.005Z"}
    assert (await delete(open_stage, expression="request", **bounds)).json == {"deleted": 3}
    assert await left(open_stage) == [0, 1, 5, 6, 7]
    await delete(open_stage, expression="request", start="-1h", stop="now")
    assert await left(open_stage) == [0, 1, 5, 6, 7]


async def test_a_long_one_is_told_where_to_go_on(open_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "REQUEST_SECONDS", -1.0)
    monkeypatch.setattr("cube.store.sqlite.events.SLICE_EVENTS", 3)
    answers = [await delete(open_stage, expression="request", all="true")]
    while "next" in answers[-1].json:
        answers.append(
            await delete(open_stage, expression="request", all="true", start=answers[-1].json["next"])
        )

    assert len(answers) > 1
    assert answers[0].json["next"].startswith("2011-07-19T00:00:00")
    assert sum(answer.json["deleted"] for answer in answers) == 8
    assert await left(open_stage) == []


async def test_a_relative_stop_is_told_as_what_it_was(
    open_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "REQUEST_SECONDS", -1.0)
    monkeypatch.setattr("cube.store.sqlite.events.SLICE_EVENTS", 3)
    answer = (await delete(open_stage, expression="request", all="true", stop="+1h")).json
    assert ("next" in answer, answer["stop"]) == (True, instant.format(NOW + 3_600_000))
    await fill(open_stage)
    answer = (await delete(open_stage, expression="request", all="true")).json
    assert "next" in answer
    assert "stop" not in answer


@pytest.mark.parametrize("count", ["true", "false"])
async def test_where_to_go_on_tells_no_key_the_time_of_what_it_may_not_see(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, count: str
) -> None:
    customers = {True: {"customer": "acme"}, False: {"customer": "other"}}
    events = [Event("test", NOW + 7_013 * n + 1, n, customers[n % 500 == 250]) for n in range(1_500)]
    await stage.store.events.save("test", events)
    monkeypatch.setattr(deletion, "REQUEST_SECONDS", -1.0)
    monkeypatch.setattr("cube.store.selected_places.SLICE_SECONDS", -1.0)
    monkeypatch.setattr("cube.store.sqlite.events.SLICE_EVENTS", 1)
    told, following = 0, instant.format(NOW)
    ends = []
    while following is not None:
        asked = {"expression": "test", "start": following, "all": "true", "count": count}
        answer = (await delete(stage, "cube_acme_key", **asked)).json
        told += answer["events" if count == "true" else "deleted"]
        following = answer.get("next")
        ends.append(following)
    assert told == 3
    assert ends[:-1]
    assert all(end.endswith(".000Z") for end in ends[:-1])


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "The expression is missing."),
    ({"expression": "request"}, "Got all events of the type request; accepted is"),
    ({"expression": "request(user)"}, "Got all events of the type request; accepted is"),
    (
        {"expression": "request", "start": "2026-01-01"},
        "Got all events of the type request since 2026-01-01T00:00:00.000Z; accepted is",
    ),
    (
        {"expression": "request", "stop": "2026-01-01"},
        "Got all events of the type request before 2026-01-01T00:00:00.000Z; accepted is",
    ),
    ({"expression": "sum(request)"}, "sum"),
    ({"expression": X, "start": "yesterday"}, "The parameter start is not a valid time."),
    ({"expression": X, "start": NOW, "stop": NOW - 1}, "is after the stop"),
    ({"expression": X, "all": "yes"}, 'Got all "yes"; accepted are true and false, or 1 and 0.'),
    ({"expression": X, "count": "2"}, 'Got count "2"; accepted are true and false, or 1 and 0.'),
    ({"expression": 'request.re(user, "(")'}, "regular expression"),
)


async def test_what_is_not_clear_is_refused_and_deletes_nothing(open_stage: Stage) -> None:
    for parameters, sentence in REFUSED:
        answer = await delete(open_stage, **parameters)
        assert answer.status == 400, parameters
        assert sentence in answer.json["error"]
    assert len(await left(open_stage)) == 8


async def test_without_a_key_nothing_is_deleted_unless_the_settings_say_so(stage: Stage) -> None:
    answer = await delete(stage, expression=X)
    assert answer.status == 403
    assert "limits.keyless_deletion" in answer.json["error"]
    assert len(await left(stage)) == 8


async def test_a_key_needs_the_scope(stage: Stage) -> None:
    answer = await delete(stage, "cube_reader_key", expression=X)
    assert (answer.status, answer.json["error"]) == (
        403,
        "The key does not allow to delete; accepted is one with the scope delete.",
    )
    assert (await delete(stage, "cube_owner_key", expression=X)).json == {"deleted": 4}


async def test_a_keys_filter_and_types_bound_what_it_deletes(stage: Stage) -> None:
    assert (await delete(stage, "cube_type_key", expression=X)).status == 403
    assert (await delete(stage, "cube_acme_key", expression=X, count="true")).json == {"events": 2}
    assert (await delete(stage, "cube_acme_key", expression="request", all="true")).json == {"deleted": 4}
    assert await left(stage) == [4, 5, 6, 7]


async def test_who_deleted_what_is_logged_and_kept(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "collector.protocols.deletion"):
        await delete(stage, "cube_acme_key", expression=X, stop=NOW + 100)
    line = (
        "the key cube_acme_key deleted 2 events: "
        'request.eq(user,"x").eq(customer,"acme") to 2011-07-19T00:00:00.100Z'
    )
    assert line in [record.getMessage() for record in caplog.records]
    (kept,) = await stage.store.deletions.all()
    assert (kept.type, kept.by, kept.events, kept.at) == ("request", "the key cube_acme_key", 2, NOW)


async def test_counting_keeps_and_logs_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "collector.protocols.deletion"):
        await delete(stage, "cube_owner_key", expression=X, count="true")
    assert [record.getMessage() for record in caplog.records if record.name.endswith("deletion")] == []
    assert await stage.store.deletions.all() == []
