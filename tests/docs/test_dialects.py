"""Every dialect has its page, and the pages name the routes that are there."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from urllib.request import urlopen

import pytest

from collector.protocols.registry import dialects
from collector.protocols.shared.dialect import Dialect
from cube.expression import parse_metric
from cube.settings import DialectSettings
from tests.daemon import daemon

PAGES = Path(__file__).resolve().parents[2] / "docs" / "dialects"
_ROUTE = re.compile(r"`(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[^\s`?]*)")

_METRIC = re.compile(r"(?:`|^)((?:sum|min|max|median|quantile|distinct)\([^`\n]+\))(?:`|$)", re.MULTILINE)

SWITCHES = [field.name for field in fields(DialectSettings) if field.type == "bool" and "_" not in field.name]
ALL = dialects(DialectSettings(**dict.fromkeys(SWITCHES, True)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """The methods and paths of both daemons, as they run by default."""
    directory = tmp_path_factory.mktemp("served")
    routes: set[tuple[str, str]] = set()
    for name in ("collector", "evaluator"):
        with (
            daemon(name, f"sqlite:{directory}", directory) as running,
            urlopen(f"{running.http}/openapi.json") as answer,
        ):
            paths = json.load(answer)["paths"]
        routes |= {(method.upper(), path) for path, item in paths.items() for method in item}
    return routes


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_every_dialect_has_a_page_that_names_its_routes(dialect: Dialect) -> None:
    page = (PAGES / f"{dialect.name}.md").read_text()
    there = {
        (method, path)
        for endpoint in dialect.endpoints
        for path in endpoint.paths
        for method in (*endpoint.translate, *endpoint.reads)
    }
    assert there - set(_ROUTE.findall(page)) == set()


@pytest.mark.parametrize("page", sorted(PAGES.glob("[a-z]*.md")), ids=lambda page: page.stem)
def test_every_route_on_a_page_is_there(page: Path, served: set[tuple[str, str]]) -> None:
    named = set(_ROUTE.findall(page.read_text()))
    assert named - served - {(method, path) for method, path in named if method == "OPTIONS"} == set()


@pytest.mark.parametrize("page", sorted(PAGES.glob("[a-z]*.md")), ids=lambda page: page.stem)
def test_the_overview_leads_to_every_page(page: Path) -> None:
    assert f"({page.name})" in (PAGES / "README.md").read_text()


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_every_metric_on_a_page_parses(page: Path) -> None:
    for expression in _METRIC.findall(page.read_text()):
        parse_metric(expression)


def test_every_switch_is_a_dialect() -> None:
    assert {page.stem for page in PAGES.glob("[a-z]*.md")} >= set(SWITCHES)
