"""Every block of docs/client.md, and every cell of its notebook, runs and gives what is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cube.client
from tests.daemon import Daemon, daemon

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "client.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", PAGE, re.DOTALL | re.MULTILINE)
NOTEBOOK = json.loads((DOCS / "examples" / "client.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the daemons are, in place of what the documents say."""

    collector: Daemon
    evaluator: Daemon

    def here(self, text: str, directory: Path) -> str:
        text = text.replace("http://127.0.0.1:1080", self.collector.http)
        return text.replace("http://127.0.0.1:1081", self.evaluator.http).replace("/tmp/shop", str(directory))


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    directory = tmp_path_factory.mktemp("client")
    store = f"sqlite:{directory}"
    with (
        daemon("collector", store, directory) as collector,
        daemon("evaluator", store, directory, "--sql-enabled", "true") as evaluator,
    ):
        yield Addresses(collector, evaluator)


def test_every_block_of_the_page_prints_what_it_shows(
    addresses: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(BLOCKS) > 10
    scope: dict[str, Any] = {}
    try:
        for code, shown in BLOCKS:
            exec(addresses.here(code, tmp_path), scope)
            printed = capsys.readouterr().out
            assert printed.splitlines() == shown.splitlines(), code
    finally:
        for name in {"emitter", "client"} & scope.keys():
            scope[name].close()


def test_pandas_and_polars_are_used_only_after_the_page_says_to_install_them() -> None:
    before, _, after = PAGE.partition("`pip install pandas polars`")
    assert after
    assert [code for code, _ in BLOCKS if re.search("pandas|polars", code) and code in before] == []
    first = "".join(NOTEBOOK["cells"][0]["source"])
    assert "`pip install pandas polars`" in first


def test_every_cell_of_the_notebook_runs(addresses: Addresses, tmp_path: Path) -> None:
    scope: dict[str, Any] = {}
    for cell in CELLS:
        exec(addresses.here(cell, tmp_path), scope)
    assert scope["emitter"].counts.stored == 5_000
    assert isinstance(scope["slow"], pd.DataFrame)
    assert scope["slow"].shape == (8, 3)
    assert scope["worst"] == "c"
    slow, fast = (scope["by_path"].filter(evening=evening)["ms"].min() for evening in (True, False))
    assert slow > 2 * fast
    assert scope["today"].value == 5_000
    scope["client"].close()


def test_the_notebook_is_one_and_holds_no_output() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    cells = NOTEBOOK["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_the_page_names_all_that_the_package_offers() -> None:
    hidden = {
        "AnswerColumns",
        "AnswerTable",
        "COLLECTOR_URL",
        "EVALUATOR_URL",
        "Counts",
        "Drop",
        "EventPages",
    }
    hidden |= {"FoundEvent", "Retries", "identified"}  # what others take and return
    assert [
        name for name in cube.client.__all__ if name not in hidden and not re.search(rf"\b{name}\b", PAGE)
    ] == []
