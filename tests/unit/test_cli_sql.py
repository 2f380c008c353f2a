"""`cube sql` where it cannot run a statement."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest
from click.testing import CliRunner

from cube.cli.main import main

INSTALLED = util.find_spec


def test_over_a_store_it_tells_what_to_install_and_of_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.cli.sql.find_spec", lambda name: None if name == "duckdb" else INSTALLED(name))
    found = CliRunner().invoke(main, ["sql", "--store", f"sqlite:{tmp_path}", "SELECT 1"])
    assert found.exit_code == 2
    assert found.stderr == (
        "cube: SQL needs DuckDB, which is not installed; accepted is an installation with the extra sql,"
        " in a checkout by .venv/bin/pip install -c constraints.txt -e '.[sql]'.\n"
    )
