"""The tables that the code makes are those of the pages, and hold all that the daemons have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from prometheus_client import CollectorRegistry

from cube.cli.main import main
from docs.made.daemons import Told, both, running
from docs.made.pages import ROOT, UnknownTable, renewed, table
from docs.made.tables import every_table
from tests.web_client import ask

REFERENCE = ROOT / "docs" / "reference.md"
OF_HTTP = {"content-type", "content-length", "content-encoding", "date", "connection", "transfer-encoding"}
"""What any HTTP may have, and is not ours to explain."""

QUESTIONS = (
    ("GET", "/1.0/metric?expression=sum(a)&start=2020-01-01&stop=2020-01-09&step=1d&limit=1", {}),
    ("GET", "/1.0/metric?expression=sum(", {}),
    ("GET", "/1.0/event?expression=a&after=", {"Origin": "http://localhost:1"}),
    ("GET", "/1.0/boards/none", {"If-None-Match": '"1"'}),
    ("PUT", "/1.0/boards/none", {"If-Match": '"1"'}),
    ("PUT", "/1.0/definitions/all", {"If-None-Match": "*"}),
    ("GET", "/1.0/definitions/all", {}),
    ("POST", "/1.0/sql", {}),
    ("POST", "/1.0/event", {}),
    ("POST", "/1.0/types", {}),
    ("OPTIONS", "/1.0/types", {"Origin": "http://localhost:1", "Access-Control-Request-Method": "GET"}),
    ("GET", "/", {"Accept-Encoding": "gzip"}),
    ("GET", "/metrics", {}),
    ("GET", "/nothing", {}),
)
"""What has each header of an answer that is not rare."""


@pytest.fixture(scope="module")
def told() -> tuple[Told, Told]:
    return both()


@pytest.fixture(scope="module")
def made(told: tuple[Told, Told]) -> dict[str, str]:
    return every_table(*told)


def test_every_table_is_up_to_date(made: dict[str, str]) -> None:
    outdated = [str(page.relative_to(ROOT)) for page in renewed(made)]
    assert outdated == [], "python -m docs.made writes them anew"


def test_a_table_without_a_place_and_a_place_without_a_table_are_told(made: dict[str, str]) -> None:
    with pytest.raises(UnknownTable, match="Got places for .*commands.*; accepted is one for each of "):
        renewed({name: text for name, text in made.items() if name != "commands"})
    with pytest.raises(UnknownTable, match="of .*new"):
        renewed({**made, "new": ""})


def test_a_change_of_the_code_is_seen(made: dict[str, str]) -> None:
    changed = made["commands"].replace("`--seed` (1)", "`--seed` (2)")
    assert changed != made["commands"]
    assert renewed({**made, "commands": changed}).keys() == {REFERENCE}


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(("a", "b"), [("{x|y}", "")]) == "| a | b |\n|---|---|\n| {x\\|y} | |\n"


def test_every_route_is_in_a_table(made: dict[str, str], told: tuple[Told, Told]) -> None:
    routes = "".join(text for name, text in made.items() if name.startswith("routes"))
    assert [path for one in told for path in one.paths if f"`{path}`" not in routes] == []


def test_every_command_is_in_the_table_with_its_options(made: dict[str, str]) -> None:
    commands = list(leaves(main, "cube"))
    assert len(commands) > 25
    rows = {line.split("`")[1]: line for line in made["commands"].splitlines()[2:]}
    for name, command in commands:
        options = [option for each in command.params for option in each.opts if option.startswith("--")]
        assert [option for option in options if f"`{option}`" not in rows[name]] == [], name
        assert command.help


def leaves(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


async def test_every_header_of_an_answer_is_in_the_table(made: dict[str, str], tmp_path: Path) -> None:
    found: set[str] = set()
    async with running(tmp_path, (CollectorRegistry(), CollectorRegistry())) as addresses:
        for address in addresses:
            port = urlsplit(address).port or 0
            for method, target, headers in QUESTIONS:
                body = b'{"expression": "sum(a)"}' if method in ("PUT", "POST") else None
                async with asyncio.timeout(30):
                    answer = await ask(port, method, target, body, headers=headers)
                found |= {name.lower() for name in answer.headers}
    assert found > {"etag", "cube-truncated", "link", "allow", "vary", "cache-control", "x-request-id"}
    rows = made["headers of answers"].lower()
    ours = {name for name in found - OF_HTTP if not name.startswith("access-control-")}
    assert {name for name in ours if f"| `{name}` |" not in rows} == set()
