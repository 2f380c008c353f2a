"""Every script, those in the documents too, holds on SQLite, on MongoDB, and by the plain definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cube.errors import InvalidExpression
from cube.expression import parse_metric, print_expression
from cube.expression.sequence_functions import SEQUENCE_FUNCTIONS
from cube.expression.series_functions import SERIES_FUNCTIONS
from cube.model.tier import is_rest, rest_key
from cube.store.mongo import open_store as open_mongo
from cube.store.ports import Store
from cube.store.sqlite import open_store as open_sqlite
from tests.evaluator_running import Bench, bench_on
from tests.golden.reference import ALL, Reference
from tests.golden.script import Eval, Load, Parse, read
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import LONG

__all__ = ["mongo_server"]

HERE = Path(__file__).parent
DOCUMENTED = (HERE.parents[1] / "docs/functions").glob("[a-z]*.md")
SCRIPTS = sorted((*HERE.glob("*.test"), *DOCUMENTED))


def test_every_function_of_series_and_across_events_has_its_page() -> None:
    pages = {path.stem for path in SCRIPTS if path.suffix == ".md"}
    assert pages >= {*SERIES_FUNCTIONS, *SEQUENCE_FUNCTIONS}


@pytest.fixture(params=SCRIPTS, ids=lambda path: path.stem)
def script(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_a_script_holds_by_the_plain_definitions(script: Path) -> None:
    reference = Reference()
    for step in read(script):
        match step:
            case Load(events):
                reference.save(events)
            case Eval():
                table = reference.evaluate(parse_metric(step.expression), step.grid, step.span)
                values = table.pop(ALL)
                if step.values is None:
                    assert table == step.groups, _where(script, step)
                else:
                    assert values == step.values, _where(script, step)
            case Parse():
                _check_parse(script, step)


@pytest.mark.parametrize(
    ("kind", "keeps"),
    [("sqlite", False), ("sqlite", True), ("mongodb", True)],
    ids=["plain", "kept", "mongodb"],
)
async def test_a_script_holds_on_every_store(
    script: Path, kind: str, keeps: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each question is asked twice: what is computed, and what is cached, is the same."""
    if kind == "mongodb" and script.suffix == ".md" and not LONG:
        pytest.skip("the scripts of this folder ask MongoDB the same; those of pages do so in long runs")
    async with bench_on(await _open(kind, tmp_path, request), keeps=keeps) as bench:
        for step in read(script):
            if isinstance(step, Load):
                for event in step.events:  # one save each: of equal ids the last one stored counts
                    await bench.save(event)
            if not isinstance(step, Eval):
                continue
            for _ in range(2):
                asked = (step.expression, step.grid, step.span.start, step.span.stop)
                found: Any = await (_groups(bench, *asked) if step.values is None else bench.values(*asked))
                assert found == (step.groups if step.values is None else step.values), _where(script, step)


async def _groups(bench: Bench, expression: str, *asked: int) -> dict[Any, Any]:
    """Return the values of each group; the rest under one key, whatever its name."""
    found = await bench.keyed(expression, *asked)
    return {rest_key() if is_rest(key) else key: values for key, values in found}


async def _open(kind: str, directory: Path, request: pytest.FixtureRequest) -> Store:
    if kind == "sqlite":
        return await open_sqlite(directory, "golden")
    server: MongoServer = request.getfixturevalue("mongo_server")
    return await open_mongo(server.url, server.database())


def _check_parse(script: Path, step: Parse) -> None:
    if step.error is None:
        assert print_expression(parse_metric(step.text)) == step.canonical, _where(script, step)
        return
    with pytest.raises(InvalidExpression) as refused:
        parse_metric(step.text)
    error = refused.value
    assert f"{error.line}:{error.column} {error.message}".startswith(step.error), _where(script, step)


def _where(script: Path, step: Eval | Parse) -> str:
    return f"{script.name}:{step.line}"
