"""Every command's help has an example, which works as it stands there, one after the other, on one store."""

from __future__ import annotations

import gc
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cube.cli.main import main
from tests.end_to_end.serving import Serving, serving

ORDER = (
    *("demo", "put", "import", "event", "metric", "export", "types", "fields", "tail", "plot"),
    *("define", "board put", "board get", "board list", "board link", "board delete"),
    *("index", "delete", "revise", "spool list", "spool drain", "shard", "doctor", "completion"),
    *("keys list", "keys hash", "keys add", "keys revoke"),
)
"""Each after what makes the things that it names."""

APART = {"serve", "sql"}
"""What is started as a server, and what needs a statement allowed; tests of their own run them."""

FILES = {
    "events.jsonl": '{"type": "request", "data": {"path": "/", "status": 200}}\n',
    "orders.csv": "created,total\n2026-11-29T12:00:00Z,12.5\n",
    "shop.json": json.dumps({"version": 1, "title": "Shop", "charts": [{"expressions": ["sum(request)"]}]}),
    "key.txt": "Zk4Q9w7LxT2-Vb8N3m6Rp1Yc5",
    "data/spool/.keep": "",
}


def leaves(command: click.Command = main, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for own, each in command.commands.items():
        yield from leaves(each, f"{name} {own}".strip())


EXAMPLES = {name: (command.epilog or "").removeprefix("Example: ") for name, command in leaves()}


def test_every_command_has_an_example_of_itself() -> None:
    wrong = {name: text for name, text in EXAMPLES.items() if not text.startswith(f"cube {name}")}
    assert wrong == {}
    assert set(ORDER) | APART >= EXAMPLES.keys()
    assert {name for name, text in EXAMPLES.items() if len(text) > 78} == set()  # the help would break it


def test_every_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("CUBE_CONFIG", "CUBE_DATABASE", "CUBE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUBE_STORE", f"sqlite:{tmp_path / 'data'}")
    with serving(tmp_path) as running:
        failed = {name: told for name in ORDER if (told := said(EXAMPLES[name], running, monkeypatch))}
    gc.collect()  # what is left open is told here, and not in another test
    assert failed == {}
    assert (tmp_path / "requests.csv").read_text().startswith("type,time")


def said(example: str, running: Serving, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run an example; return what it says where it fails."""
    monkeypatch.setenv("CUBE_COLLECTOR", running.collector)
    monkeypatch.setenv("CUBE_EVALUATOR", running.evaluator)
    command, _, file = example.partition(" < ")
    words = shlex.split(command)[1:]
    if words[0] == "demo":
        words += ["--url", running.collector, "--evaluator", running.evaluator]
    given = Path(file).read_text() if file else None
    ended = CliRunner().invoke(main, words, input=given, catch_exceptions=False)
    return "" if ended.exit_code == 0 else f"{ended.exit_code}: {ended.output}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_read_what_completes_the_command(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(main, ["completion", shell]).output
    assert "_CUBE_COMPLETE" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=30)


def test_words_are_completed() -> None:
    environ = {"_CUBE_COMPLETE": "bash_complete", "COMP_WORDS": "cube fie", "COMP_CWORD": "1"}
    assert CliRunner().invoke(main, prog_name="cube", env=environ).output == "plain,fields\n"
