"""The reference names every setting, route and command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import click
import pytest

from cube.cli.main import main
from cube.settings import (
    CollectorSettings,
    DaemonSettings,
    EnvironmentSettings,
    EvaluatorSettings,
    KeySettings,
    markdown_table,
)
from tests.daemon import daemon

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PROMETHEUS = (ROOT / "docs" / "prometheus.md").read_text()
DIALECTS = "".join(page.read_text() for page in sorted((ROOT / "docs" / "dialects").glob("*.md")))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


@pytest.mark.parametrize("cls", [CollectorSettings, EvaluatorSettings, EnvironmentSettings, KeySettings])
def test_every_setting_is_documented_with_its_default(
    cls: type[DaemonSettings | EnvironmentSettings | KeySettings],
) -> None:
    assert markdown_table(cls) in REFERENCE


@pytest.mark.parametrize("name", ["collector", "evaluator"])
def test_every_route_is_documented(name: str, tmp_path: Path) -> None:
    with (
        daemon(name, f"sqlite:{tmp_path}", tmp_path) as running,
        urlopen(f"{running.http}/openapi.json") as answer,
    ):
        paths = json.load(answer)["paths"]
    assert len(paths) > 5
    told = REFERENCE + PROMETHEUS
    assert [path for path in paths if f"`{path}`" not in told and f" {path}`" not in DIALECTS] == []


@pytest.mark.parametrize(("name", "command"), list(_commands(main)), ids=lambda value: str(value))
def test_every_command_is_documented_with_its_options(name: str, command: click.Command) -> None:
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `cube {name}"))
    options = [option for parameter in command.params for option in parameter.opts if option[:2] == "--"]
    assert [option for option in options if f"`{option}`" not in row] == []
    assert command.help


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not target.startswith("http")]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES[2:], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:cube|collector|evaluator|tests|config|bin|docs)/[\w./-]*)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []
