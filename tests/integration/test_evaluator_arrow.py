"""Answers as Arrow streams say what the same answers say as JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest
import pytest_asyncio

from cube.columns.arrow_stream import MEDIA_TYPE
from cube.model import instant
from cube.model.event import ABSENT
from tests.daemon import daemon
from tests.evaluator_running import DAY, Running, event, running
from tests.web_client import Answer, connection

SPAN = {"start": DAY, "stop": DAY + 3_600_000}
EVENTS = [
    event(DAY + 1, {"host": "a", "ms": 1, "ok": True, "at": {"x": 1.5, "a.b": "q"}}, 7),
    event(DAY + 2, {"host": "b", "ms": 2.5, "time": "early", "tags": ["x", 1]}, "seven"),
    event(DAY + 60_000, {"host": "a", "ms": 4, "ok": None, "mixed": 1, "at": {}}),
    event(DAY + 60_001, {"host": 3, "ms": 8, "mixed": "1", "time_": 5}, 8),
    event(DAY + 120_000, 241),
    event(DAY + 180_000),
]


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as running_:
        await running_.save(*EVENTS)
        yield running_


async def ask(made: Running, path: str, accept: str | None, **parameters: Any) -> Answer:
    async with connection(made.port) as client:
        headers = {} if accept is None else {"Accept": accept}
        return await client.ask("GET", f"{path}?{urlencode({**SPAN, **parameters})}", headers=headers)


async def arrow(made: Running, path: str, **parameters: Any) -> pa.Table:
    answer = await ask(made, path, MEDIA_TYPE, **parameters)
    assert (answer.status, answer.headers["content-type"]) == (200, MEDIA_TYPE), answer.body
    assert answer.headers["vary"] == "Accept"  # beside another one, of Origin
    return pa.ipc.open_stream(answer.body).read_all()


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table without nulls, with JSON texts as what they mean."""
    json_fields = {field.name for field in table.schema if (field.metadata or {}).get(b"cube") == b"json"}
    return [
        {
            name: json.loads(value) if name in json_fields else shown(value)
            for name, value in row.items()
            if value is not None
        }
        for row in table.to_pylist()
    ]


def shown(value: Any) -> Any:
    return instant.format(instant.from_datetime(value)) if isinstance(value, datetime) else value


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a metric's JSON as columns have it."""
    group = row.get("group")
    if isinstance(group, list):
        del row["group"]
        row |= {f"group_{place}": part for place, part in enumerate(group, 1)}
    return row


METRICS = [
    "sum(test)",
    "median(test(ms)) * 2 - 1",
    "sum(test(ms)).group(host)",
    "sum(test(ms).eq(host, 'none')).group(host)",
    "sum(test(ms)).group(gt(ms, 2))",
    "sum(test(ms)).group(ms)",
    "sum(test(ms)).group(host, ms)",
    "sum(test(ms)).group(host).top(1)",
    "sum(test(ms)).group(host, ms).top(1)",
    "quantiles(0.5, 0.9, test(ms))",
    "funnel(host, 1h, test, test.gt(ms, 2))",
    "sum(nothing)",
]


async def test_metrics_are_the_same_as_in_json(made: Running) -> None:
    for expression in METRICS:
        for step in ("1m", "1h"):
            await check_metric(made, expression, step)


async def check_metric(made: Running, expression: str, step: str) -> None:
    told = await ask(made, "/1.0/metric", None, expression=expression, step=step)
    assert told.status == 200, told.body
    table = await arrow(made, "/1.0/metric", expression=expression, step=step)
    assert table.schema.field("time").type == pa.timestamp("ms", "UTC")
    assert table.schema.field("value").type == pa.float64()
    expected = [flat(row) for row in told.json]
    found = rows(table)
    if "other" in table.column_names:
        found = [{**row, "other": True} if row.pop("other") else row for row in found]
    if any("other" in row and "group_1" in table.column_names for row in found):
        expected = [{"group_1": row.pop("group"), **row} if row.get("other") else row for row in expected]
    assert found == expected


async def test_events_have_a_column_for_each_field(made: Running) -> None:
    table = await arrow(made, "/1.0/event", expression="test(*)")
    utf8, whole = pa.utf8(), pa.int64()
    kinds = {field.name: (field.type, field.metadata is not None) for field in table.schema}
    assert kinds == {
        "time": (pa.timestamp("ms", "UTC"), False),
        "id": (utf8, True),
        "at": (utf8, True),
        "at.x": (pa.float64(), False),
        'at["a.b"]': (utf8, False),
        "data": (whole, False),
        "host": (utf8, True),
        "mixed": (utf8, True),
        "ms": (pa.float64(), False),
        "ok": (pa.bool_(), False),
        "tags": (utf8, True),
        "time_": (utf8, False),
        "time__": (whole, False),
    }
    found = rows(table)
    assert [row.pop("time") for row in found] == [instant.format(each.time) for each in EVENTS]
    assert found == [
        {"id": 7, "host": "a", "ms": 1, "ok": True, "at.x": 1.5, 'at["a.b"]': "q"},
        {"id": "seven", "host": "b", "ms": 2.5, "time_": "early", "tags": ["x", 1]},
        {"host": "a", "ms": 4, "mixed": 1, "at": {}},
        {"id": 8, "host": 3, "ms": 8, "mixed": "1", "time__": 5},
        {"data": 241},
        {},
    ]


async def test_pages_and_refusals_are_as_in_json(made: Running) -> None:
    page = await ask(made, "/1.0/event", MEDIA_TYPE, expression="test(ms)", limit=2, after="")
    assert page.headers["cube-truncated"] == "limit"
    more = await arrow(made, "/1.0/event", expression="test(ms)", after=page.headers["cube-cursor"])
    assert more.column("ms").to_pylist() == [4, 8]
    refused = await ask(made, "/1.0/event", MEDIA_TYPE, expression="test(")
    assert (refused.status, refused.headers["content-type"]) == (400, "application/json")
    nothing = await arrow(made, "/1.0/event", expression="nothing")
    assert (nothing.num_rows, nothing.column_names) == (0, ["time", "id"])


async def test_integers_that_no_double_holds_stay_what_they_are(made: Running) -> None:
    await made.save(event(DAY + 1, 2**53 + 1, 1, "big"), event(DAY + 2, 0.5, 2, "big"))
    assert [row["data"] for row in rows(await arrow(made, "/1.0/event", expression="big(*)"))] == [
        2**53 + 1,
        0.5,
    ]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        (f"{MEDIA_TYPE};q=0, */*", "application/json"),
        (f"application/json;q=0.5, {MEDIA_TYPE.upper()} ; q=0.9", MEDIA_TYPE),
        (f"{MEDIA_TYPE}2", "application/json"),
    ],
)
async def test_who_does_not_name_the_format_gets_json(made: Running, accept: str, kind: str) -> None:
    answer = await ask(made, "/1.0/metric", accept, expression="sum(test)", step="1h")
    assert answer.headers["content-type"] == kind
    assert EVENTS[-1].data is ABSENT


def test_an_evaluator_does_not_load_pandas(tmp_path: Path) -> None:
    """Which pyarrow imports where it is there, with the first array: 40 MB that nobody uses."""
    pytest.importorskip("pandas")
    if not Path("/proc/self/maps").exists():
        pytest.skip("the system does not tell what a process has loaded")
    asked = urlencode({**SPAN, "expression": "sum(test(ms))", "step": 60_000})

    with daemon("evaluator", f"sqlite:{tmp_path}", tmp_path) as evaluator:
        request = Request(f"{evaluator.http}/1.0/metric?{asked}", headers={"Accept": MEDIA_TYPE})
        with urlopen(request) as answer:
            table = pa.ipc.open_stream(answer.read()).read_all()
        loaded = Path(f"/proc/{evaluator.process.pid}/maps").read_text()

    assert table.num_rows == 60
    assert "libarrow" in loaded
    assert "pandas" not in loaded
