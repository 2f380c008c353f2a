"""Blocks of all pages, run by another test or not: programs compile, commands and settings exist."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cube.cli.main import main
from cube.expression import parse_event, parse_metric
from cube.model.reduce import REDUCES
from cube.settings import CollectorSettings, EvaluatorSettings, load, settings_of_both
from tests.docs.blocks import BLOCKS, PAGES, ROOT, Block
from tests.docs.console import commands
from tests.tools import tool


def of(*languages: str) -> Any:
    """Run a test for each block of any page in these languages."""
    chosen = [block for block in BLOCKS if block.language in languages]
    assert chosen
    return pytest.mark.parametrize("block", chosen, ids=lambda block: block.page)


@of("python")
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@of("js")
def test_javascript_compiles(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "block.mjs"
    file.write_text(block.text)
    checked = subprocess.run(
        [tool("node"), "--check", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr


@of("json")
def test_json_is_valid(block: Block) -> None:
    json.loads(block.text)


@of("expression")
def test_expressions_are_some(block: Block) -> None:
    for line in block.text.splitlines():
        (parse_metric if line.split("(")[0] in REDUCES else parse_event)(line)


@of("yaml")
def test_yaml_is_valid(block: Block) -> None:
    assert yaml.safe_load(block.text)


@of("toml")
def test_settings_are_some_that_daemons_take(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(block.text.replace('"KEY"', '"vB3kq0Zr7mXw9TnYc2Lp"'))
    load(CollectorSettings, ["--config", str(file)], {})
    load(EvaluatorSettings, ["--config", str(file)], {})
    known = {setting.key for setting in settings_of_both()}
    tables = {"environments", "keys"}
    unknown = [key for key in keys(tomllib.loads(block.text)) if key not in known]
    assert [key for key in unknown if key.partition(".")[0] not in tables] == []


def keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def calls() -> Iterator[tuple[str, list[str]]]:
    """Yield the words of every call of ``cube`` in a console block, with the page."""
    for page in PAGES:
        for command in commands(page.read_text()):
            text = command.text.partition("<<")[0].replace("\\\n", " ")
            lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
            lexer.whitespace, lexer.whitespace_split = " \t", True
            for own, words in groupby(lexer, lambda word: not set(word) <= set("();<>|&\n")):
                found = list(words)
                if own and found[0] in ("cube", "bin/cube"):
                    yield str(page.relative_to(ROOT)), found[1:]


@pytest.mark.parametrize(("page", "words"), list(calls()))
def test_commands_and_their_options_exist(page: str, words: list[str]) -> None:
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        assert found is not None, f"{page}: there is no command {words[0]}"
        command, words = found, words[1:]
    context = click.Context(command)
    command.parse_args(context, list(words))
