"""A wheel in an environment of its own: the programs run from any folder, and find what was installed."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import time
import venv
from importlib.metadata import version
from pathlib import Path

import pytest
import requests

from tests.checkout import copy_checkout
from tests.daemon import CHECKOUT
from tests.docs.console import commands
from tests.docs.runners import run_by
from tests.docs.shell import Shell
from tests.tools import SLOW

COMMANDS = [
    command.text for block in run_by(__file__) for command in commands(f"```console\n{block.text}```\n")
]
"""What the page on installing says to type into a checkout, in its order."""
VERSION = version("cube-events")
PROGRAMS = {"cube": f"cube, version {VERSION}"} | {
    f"cube-{name}": f"{name} {VERSION}" for name in ("collector", "evaluator")
}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with modules that have the names of our packages, as anybody's may."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("collector", "evaluator"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('this is not our {name}')")
    return folder


def run(folder: Path, *command: str | Path) -> str:
    """Run a program in a folder that is on Python's path, too."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("name", ["collector", "evaluator"])
def test_programs_of_a_checkout_run_beside_modules_of_their_names(elsewhere: Path, name: str) -> None:
    code = f"import sys; sys.argv[1:] = ['--version']; import cube.launch; cube.launch.{name}()"
    assert run(elsewhere, sys.executable, "-P", "-c", code) == f"{name} {VERSION}"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An environment with the wheel; what it depends on is that of the tests."""
    source, made = copy_checkout(tmp_path / "source"), tmp_path / "environment"
    venv.create(made)
    (packages,) = made.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    pip = f"{sys.executable} -m pip --quiet --disable-pip-version-check"
    install = f"{pip} --python={made} install --no-deps --no-warn-script-location"
    with Shell(source) as shell:
        shell.run(f'pip() {{ if [ "$1" = install ]; then {install} "${{@:2}}"; else {pip} "$@"; fi; }}')
        for command in COMMANDS:
            typed = command.replace(".venv/bin/pip", "pip")
            told = shell.run(f"{typed} && echo installed")
            assert told.strip() == "installed", (command, told)
    wheel = next(source.glob("dist/cube_events-*.whl"))  # and not the checkout, which came last
    run(source, *install.split(), "--force-reinstall", wheel)
    return made


@SLOW
@pytest.mark.timeout(300)
def test_a_wheel_runs_from_any_folder_and_holds_pages_and_settings(installed: Path, elsewhere: Path) -> None:
    for program, told in PROGRAMS.items():
        assert run(elsewhere, installed / "bin" / program, "--version") == told
    for part in ("config", "docs"):
        files = (file for file in (CHECKOUT / part).rglob("*") if file.is_file() and file.suffix != ".py")
        there = {file.relative_to(CHECKOUT) for file in files}
        assert {name for name in there if not (installed / "share/cube" / name).is_file()} == set()
    ready = elsewhere / "ready.json"
    free = ("--collector-port=0", "--evaluator-port=0", "--udp-port=0")
    process = subprocess.Popen(
        [installed / "bin/cube", "serve", f"--store=sqlite:{elsewhere}/data", "--ready-file", ready, *free],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(elsewhere)},
    )
    try:
        deadline = time.monotonic() + 100
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline, "it does not become ready"
            time.sleep(0.05)
        addresses = json.loads(ready.read_text())
        event = {"type": "a", "time": "2020-01-01T12:00Z"}
        assert requests.post(f"{addresses['collector']}/1.0/event", json=event, timeout=60).status_code == 200
        query = {"expression": "sum(a)", "step": 86400000, "start": "2020-01-01", "stop": "2020-01-02"}
        answer = requests.get(f"{addresses['evaluator']}/1.0/metric", query, timeout=60).json()
        assert [row["value"] for row in answer] == [1]
        assert "<html" in requests.get(addresses["evaluator"], timeout=60).text
    finally:
        process.terminate()
        process.wait(60)
