"""Whatever is completed in an expression, it stays one, or the beginning of one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import reductions
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.completion import places
from cube.expression.explanation import explain
from cube.expression.grammar import tried
from cube.expression.nodes import EventExpression
from evaluator.catalog.completions import completions
from evaluator.catalog.fields import FieldTallies, FieldTally, Path
from tests.property.test_expression_round_trip import events, metrics
from tests.tools import examples

quick = settings(max_examples=examples(100), deadline=None)

DATA = {"ms": 1, "user": {"name": 'a"b', "age": 2.5}, "user-agent": "x", "tags": [True, None], "価格": -3}


class Anything:
    """A store that has every type, all with the same fields."""

    def __init__(self, *types: str) -> None:
        self._types = sorted({"request", "sum", *types})
        self._tallies = FieldTallies()
        self._tallies.add(DATA)

    async def named(self) -> dict[str, str]:
        return {}

    async def types(self) -> list[str]:
        return self._types

    async def fields(self, type: str) -> dict[Path, FieldTally]:
        return self._tallies.fields

    async def values(self, type: str, path: Path) -> FieldTally | None:
        return self._tallies.fields["user", "name"]


def may_go_on(text: str) -> bool:
    """Tell whether a text is an expression, or stops before it is wrong."""
    return any(source.furthest == len(text) for source in tried(text))


async def completed(text: str, at: int, known: Any) -> list[str]:
    found = await completions(places(text, at), text, known)
    return [text[: found["start"]] + item["text"] for item in found["items"]]


@quick
@given(st.data(), metrics | events)
async def test_what_is_completed_may_go_on(data: st.DataObject, tree: Any) -> None:
    text = print_expression(tree)[:400]
    at = data.draw(st.integers(0, len(text)))
    for begun in await completed(text[:at], at, Anything(getattr(tree, "type", "request"))):
        assert may_go_on(begun), begun


@quick
@given(metrics | events)
def test_every_expression_has_words_and_names_its_types(tree: Any) -> None:
    words = explain(tree)
    assert not {"{name}", "{argument}"} & set(words.split())
    for each in reductions(tree) if not isinstance(tree, EventExpression) else (tree,):
        assert f"{each.type} events" in words


async def test_a_whole_expression_is_written_by_choosing() -> None:
    text = ""
    for chosen in (
        "mean(",
        "request",
        "(",
        "user.age",
        ")",
        ".",
        "ge(",
        "ms",
        ",",
        '"a\\"b"',
        "))",
        ".",
        "group(",
    ):
        if chosen[0] not in "(),.":
            assert text + chosen in await completed(text, len(text), Anything())
        text += chosen
    assert parse_metric(f'{text}["user-agent"])')
    assert parse_event("request")
