"""What the command shows on a terminal."""

from __future__ import annotations

from functools import partial

import pytest
from rich.console import Console

from cube.cli import output

REVISION = 3_094_221_464_828_447


@pytest.mark.parametrize("width", [80, 40])
def test_a_revision_is_whole_in_a_narrow_table(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cube define` and `cube board` take it back as --revision."""
    monkeypatch.setattr(output, "Console", partial(Console, force_terminal=True, width=width))
    row = {"name": "a", "expression": "sum(hit) / " * 30, "error": "Expected that. " * 30, "by": "team"}
    output.show(
        [{**row, "revision": REVISION, "saved": "2026-11-29T13:31:41.434Z"}],
        ("name", "expression", "error", output.REVISION, "saved", "by"),
    )
    assert str(REVISION) in capsys.readouterr().out
