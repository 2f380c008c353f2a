"""What `docs/architecture.md` draws and lists is the tree as it is, and nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.docs.runners import run_by

DRAWING, TREE = run_by(__file__)
NAMES = 25
"""The width of the column of names in the list; behind it stands what they are for."""

DRAWN = {
    "clients": "cube/client",
    "HTTP": "cube/web/http1.py",
    "WebSocket": "cube/web/websocket.py",
    "UDP": "collector/protocols/udp.py",
    "collector": "collector",
    "evaluator": "evaluator",
    "events": "cube/store/sqlite/events.py",
    "revisions": "cube/store/mongo/revisions.py",
    "cached metrics": "cube/store/sqlite/metrics.py",
    "MongoDB": "cube/store/mongo",
    "or SQLite files": "cube/store/sqlite",
}
"""Each thing in the drawing, and where it is in the tree."""


def listed() -> Iterator[tuple[Path, str]]:
    """Yield each path of the list, and what is said of it."""
    folders: list[Path] = []
    for line in TREE.text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        paths = [Path(*folders[:depth], name) for name in line[:NAMES].split()]
        folders[depth:] = [Path(paths[0].name)]
        for path in paths:
            yield path, line[NAMES:]


LISTED = dict(listed())


def test_all_that_is_listed_is_there_and_so_is_what_is_said_to_be_in_it() -> None:
    assert len(LISTED) > 30
    assert [path for path in LISTED if not (ROOT / path).exists()] == []
    inside = [path / file for path, told in LISTED.items() for file in re.findall(r"\b\w+\.py\b", told)]
    assert len(inside) > 3
    assert [path for path in inside if not (ROOT / path).is_file()] == []


def test_no_package_is_left_out() -> None:
    packages = {"cube", "collector", "evaluator"}
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "docs"} == packages
    folders = {
        path.relative_to(ROOT)
        for package in packages
        for path in (ROOT / package).iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert folders - LISTED.keys() == set()


def test_all_that_is_drawn_is_somewhere_in_the_tree() -> None:
    words = set(re.findall(r"\w+(?: \w+)*", DRAWING.text))
    assert words == DRAWN.keys()
    assert [path for path in DRAWN.values() if not (ROOT / path).exists()] == []
