"""What docs/extending.md names is there, and its examples are entries that work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cube.columns import Block, mask, partials
from cube.errors import InvalidRequest
from cube.expression import grammar, parse_metric
from cube.expression.nodes import Reduction
from cube.expression.operators import OPERATORS, OrderOperator, TextOperator
from cube.model.reduce import REDUCES, Reduce
from cube.model.tier import MINUTE
from tests.dialect_request import NOW, context, request

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = sorted(
    set(re.findall(r"`((?:cube|collector|evaluator|tests|config|docs)/[\w./-]+|setup\.cfg)`", PAGE))
)
NAMES = sorted(set(re.findall(r"`((?:cube|collector|evaluator)(?:\.\w+)+)`", PAGE)))
SHOWN = re.findall(r"^```python\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [text for text in SHOWN if "\nPINGS = " not in text]
(DIALECT,) = (text for text in SHOWN if "\nPINGS = " in text)
BLOCK = Block.from_json([0, 1, 2], ['{"i":1,"s":"a1"}', '{"i":3,"s":"b"}', '{"i":8,"s":"a2"}'])
TABLES: dict[type, dict[str, Any]] = {Reduce: REDUCES, OrderOperator: OPERATORS, TextOperator: OPERATORS}


@pytest.mark.parametrize("path", FILES)
def test_every_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_code_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(module), attribute)


def test_every_section_names_its_files() -> None:
    sections = PAGE.split("\n## ")[1:]
    assert len(sections) == 9
    assert [text.splitlines()[0] for text in sections if "| file | what |" not in text] == []


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the entries that the page shows, added to their tables."""
    scope = {each.__name__: each for each in TABLES}
    entries = [eval(text, dict(scope)) for text in EXAMPLES]
    for entry in entries:
        monkeypatch.setitem(TABLES[type(entry)], entry.name, entry)
    grammar.rebuild()
    yield [entry.name for entry in entries]
    monkeypatch.undo()
    grammar.rebuild()


def test_the_examples_are_entries_that_work(examples: list[str]) -> None:
    assert examples == ["range", "starts", "apart"]
    reduction = parse_metric('range(test(i).starts(s,"a").apart(i,3))')
    assert isinstance(reduction, Reduction)
    assert mask(reduction.filters, BLOCK).tolist() == [True, False, True]
    assert REDUCES["range"].finish(partials(reduction, MINUTE, BLOCK)[0], None) == 7


def test_the_dialect_that_is_shown_translates() -> None:
    module: dict[str, Any] = {}
    exec(DIALECT, module)
    (endpoint,) = module["PINGS"].endpoints
    body = b'[{"name": "Page View", "at": 1700000000000}, {"name": 1}, 2]'
    translation = endpoint.translate["POST"](request(body), context())
    assert [(draft.name, draft.time) for draft in translation.drafts] == [("Page View", NOW)]
    assert [rejection.payload for rejection in translation.rejections] == [{"name": 1}, 2]
    assert translation.reply(translation.rejections).body == b'{"wrong":2}'
    with pytest.raises(InvalidRequest, match="accepted is an array of pings"):
        endpoint.translate["POST"](request(b"1"), context())
