"""Environments of a settings file: each has a database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cube.errors import InvalidSettings
from cube.settings import EvaluatorSettings, environments_of, load


def databases(tmp_path: Path, text: str) -> dict[str, str]:
    config = tmp_path / "cube.toml"
    config.write_text(text)
    settings = load(EvaluatorSettings, ["--config", str(config)], {})
    return {environment.name: environment.database for environment in environments_of(settings)}


def test_each_has_the_database_that_it_names_or_one_of_its_own_name(tmp_path: Path) -> None:
    text = '[environments.prod]\ndatabase = "shop"\n[environments.dev]\n[environments.default]\n'
    assert databases(tmp_path, text) == {
        "prod": "shop",
        "dev": "cube_dev",
        "default": "cube_development",
    }


@pytest.mark.parametrize("database", ["cube_dev", "Cube_Dev"])
def test_two_that_would_share_a_database_are_refused(tmp_path: Path, database: str) -> None:
    text = f'[environments.dev]\n[environments.prod]\ndatabase = "{database}"\n'
    with pytest.raises(
        InvalidSettings, match=f"Got the database {database} for the environments dev and prod"
    ):
        databases(tmp_path, text)
