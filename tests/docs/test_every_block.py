"""Every block of the README and of the documents is run by a test."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.docs.blocks import BLOCKS, PAGES, ROOT, unfenced
from tests.docs.runners import APART, TESTED, runner


def test_every_block_is_run() -> None:
    assert len(BLOCKS) > 120
    assert [(block.page, block.begin) for block in BLOCKS if runner(block) is None] == []


def test_what_is_listed_is_there() -> None:
    assert APART.keys() - {block.begin for block in BLOCKS} == set()
    there = {entry for entry in TESTED for block in BLOCKS if fnmatch(block.page, entry[0])}
    assert set(TESTED) - there == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_escapes_as_it_is_only_indented(page: Path) -> None:
    assert unfenced(page) == []


def test_what_runs_them_exists() -> None:
    files = [file for _, _, file in TESTED] + list(APART.values())
    assert [file for file in files if not (ROOT / file).is_file()] == []
