"""Every statement of `docs/sql.md` runs, and answers what the page shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cube.model.event import Event
from cube.store.sqlite import open_store
from evaluator.sql.formats import CSV, NAMES
from tests.sql_running import statements_on

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()
[EVENTS] = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = re.findall(r"^```sql\n(.*?)^```\n\n```csv\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_every_statement_answers_what_the_page_shows(tmp_path: Path) -> None:
    assert len(SHOWN) == PAGE.count("```sql") > 5
    async with statements_on(await open_store(tmp_path, "test"), environment="dev") as made:
        await made.save(*(Event.parse(raw, now=0) for raw in json.loads(EVENTS)))
        for statement, shown in SHOWN:
            answer = (await made.bytes(statement, CSV)).decode().replace("\r\n", "\n")
            assert (statement, answer) == (statement, shown)


def test_the_page_names_every_format() -> None:
    for name, media_type in NAMES.items():
        assert f"| `{name}` | `{media_type}` |" in PAGE
