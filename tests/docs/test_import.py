"""Every import of `docs/import.md` prints what is shown there."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.docs.console import Command, commands
from tests.importing import Imports

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "import.md").read_text()
SHOWN = list(commands(PAGE))


def run(command: Command, imports: Imports) -> str:
    """Do what a command of the page does: write a file, or import one."""
    if command.text.startswith("cat > "):
        head, _, content = command.text.partition("\n")
        imports.write(head.split()[2], content.removesuffix("END"))
        return ""
    before, _, own = command.text.rpartition("cube import ")
    piped = before.removeprefix("cat ").removesuffix(" | ")
    stdin = (imports.folder / piped).read_bytes() if piped else None
    return imports.run(*shlex.split(own), stdin=stdin).output


def test_every_import_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imports = Imports(tmp_path, monkeypatch)
    assert sum("cube import" in command.text for command in SHOWN) == 7
    for command in SHOWN:
        assert run(command, imports).splitlines() == list(command.output), command.text
    assert sorted(event.type for event in imports.collector.stored.values()) == (
        ["app"] * 2 + ["quake"] * 2 + ["sp500"] * 2 + ["weather"] * 3
    )


def test_the_page_names_every_format_and_option() -> None:
    from cube.cli.importing import import_command

    options = {option for each in import_command.params for option in each.opts if option.startswith("--")}
    unnamed = {"--collector", "--key", "--delimiter"}
    assert {option for option in options - unnamed if f"{option}" not in PAGE} == set()
