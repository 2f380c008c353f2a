"""What is added to one table is there: in the grammar, over events, up the pyramid and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from cube.errors import InvalidQuery
from cube.expression import grammar, parse_metric, print_expression
from cube.expression.operators import OPERATORS, OrderOperator, TextOperator
from cube.model.event import Event
from cube.model.reduce import REDUCES, Reduce
from tests.evaluator_running import DAY, Running, event, running
from tests.web_client import Answer, connection

SPREAD = Reduce(
    name="spread",
    form=tuple[float, float],
    partial=lambda samples: (min(one.value for one in samples), max(one.value for one in samples)),
    merge=lambda partials: (min(low for low, _ in partials), max(high for _, high in partials)),
    finish=lambda partial, _: partial[1] - partial[0],
)
TRIMMED = Reduce(
    name="trimmed",
    form=list[float],
    partial=lambda samples: sorted(one.value for one in samples),
    merge=lambda partials: sorted(value for partial in partials for value in partial),
    finish=lambda partial, share: partial[int((len(partial) - 1) * (share or 0))],
    takes_probability=True,
)
LONGEST = Reduce(
    name="longest",
    form=int,
    partial=lambda samples: max(len(one.value) for one in samples),
    merge=max,
    finish=lambda partial, _: float(partial),
    numeric=False,
)
LATEST_ID = Reduce(
    name="latest_id",
    form=float,
    partial=lambda samples: max(float(str(one.id)[1:]) for one in samples),
    merge=max,
    finish=lambda partial, _: partial,
    exact_value=True,
    ordered=True,
)


def refuse_empty(text: str) -> None:
    if not text:
        raise InvalidQuery("Got an empty prefix; accepted is any other.", field="expression")


STARTS = TextOperator("starts", lambda prefix, text: text.startswith(prefix), check=refuse_empty)
MISSES = TextOperator("misses", lambda part, text: part in text, negated=True)
APART = OrderOperator("apart", lambda order: order != 0)
ABOVE_ANY = OrderOperator("above_any", lambda order: order > 0, any_of=True)


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Four reduces and four operators more, each an entry of its table."""
    for reduce in (SPREAD, TRIMMED, LONGEST, LATEST_ID):
        monkeypatch.setitem(REDUCES, reduce.name, reduce)
    for operator in (STARTS, MISSES, APART, ABOVE_ANY):
        monkeypatch.setitem(OPERATORS, operator.name, operator)
    grammar.rebuild()
    yield
    monkeypatch.undo()
    grammar.rebuild()


@pytest_asyncio.fixture
async def made(tmp_path: Path, extended: None) -> AsyncIterator[Running]:
    async with running(tmp_path) as running_:
        await running_.save(*map(_event, range(12)))
        yield running_


def _event(minute: int) -> Event:
    data = {"i": minute, "path": f"/{'ab'[minute % 2]}/{minute}"}
    return event(DAY + minute * 60_000, data, id=f"e{minute}")


async def ask(made: Running, expression: str, step: int) -> Answer:
    asked = {"expression": expression, "step": step, "start": DAY, "stop": DAY + 3_600_000}
    async with connection(made.port) as client:
        return await client.ask("GET", f"/1.0/metric?{urlencode(asked)}")


ASKED: list[tuple[str, int, list[Any]]] = [
    ("spread(test(i))", 300_000, [4, 4, 1, *[None] * 9]),
    ("spread(test(i))", 3_600_000, [11]),
    ("trimmed(0.5, test(i))", 3_600_000, [5]),
    ("longest(test(path))", 3_600_000, [len("s/a/10")]),
    ("latest_id(test(i))", 3_600_000, [11]),
    ('spread(test(i).starts(path,"/b"))', 3_600_000, [10]),
    ('sum(test.misses(path,"1"))', 3_600_000, [9]),
    ("sum(test.apart(i,3).apart(i,4))", 3_600_000, [10]),
    ('sum(test.apart(path,"/a/0"))', 3_600_000, [11]),
    ("sum(test.above_any(i,[9,7]))", 3_600_000, [4]),
]


@pytest.mark.parametrize(("expression", "step", "expected"), ASKED)
async def test_what_was_added_is_answered_cold_and_warm(
    made: Running, expression: str, step: int, expected: list[Any]
) -> None:
    for _ in range(2):
        answer = await ask(made, expression, step)
        assert answer.status == 200, answer.body
        assert [row.get("value") for row in answer.json] == expected


async def test_what_was_added_is_answered_by_group(made: Running) -> None:
    answer = await ask(made, "spread(test(i)).group(path)", 3_600_000)
    assert {row["value"] for row in answer.json} == {0}
    assert len(answer.json) == 12


@pytest.mark.usefixtures("extended")
def test_what_was_added_is_printed_as_it_is_parsed() -> None:
    text = 'trimmed(0.5,test(i).starts(path,"/b").above_any(i,[1,2]))'
    assert print_expression(parse_metric(text)) == text


async def test_an_error_names_what_was_added(made: Running) -> None:
    for expression, expected in (("nothing(test)", "spread"), ("sum(test.nothing(i,1))", "starts")):
        answer = await ask(made, expression, 300_000)
        assert (answer.status, expected in answer.json["error"]) == (400, True), answer.body


async def test_the_literal_of_an_operator_is_checked(made: Running) -> None:
    answer = await ask(made, "sum(test.starts(path,''))", 300_000)
    assert (answer.status, answer.json["error"]) == (400, "Got an empty prefix; accepted is any other.")


@pytest.mark.parametrize(
    ("expression", "kind", "added", "words"),
    [
        ("spread(test(i))", "reduce", "spread(", "the spread of i over the test events"),
        ("trimmed(0.5,test(i))", "reduce", "trimmed(", "the trimmed (0.5) of i over the test events"),
        ("sum(test.apart(i,3))", "filter", "apart(", "the number of test events where i apart 3"),
    ],
)
async def test_what_was_added_is_completed_and_said_in_words(
    made: Running, expression: str, kind: str, added: str, words: str
) -> None:
    asked = {"expression": expression, "at": expression.index(added) + 2}
    async with connection(made.port) as client:
        answer = (await client.ask("GET", f"/1.0/expression?{urlencode(asked)}")).json
    (reading,) = (each for each in answer["readings"] if each["kind"] == "metric")
    assert reading["explanation"] == words
    offered = answer["completions"]["items"]
    assert (kind, added.rstrip("(")) in [(each["kind"], each["text"]) for each in offered]
