"""Builds: this working tree, and another commit in a checkout of its own."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent

_WHERE = """
import cube, collector, evaluator
print(cube.__file__, collector.__file__, evaluator.__file__, sep="\\n")
"""


@dataclass(frozen=True, slots=True)
class Build:
    """Sources to run, and the Python to run them with; ``name`` is "tree" or "base"."""

    name: str
    checkout: Path
    python: Path
    version: str

    def check(self) -> None:
        """Raise unless its Python runs its sources: another build's figures would be worth nothing."""
        places = subprocess.run(
            [self.python, "-c", _WHERE], cwd=self.checkout, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        strange = [place for place in places if not Path(place).is_relative_to(self.checkout)]
        if strange or not places:
            raise RuntimeError(f"The build {self.name} would run {', '.join(strange) or 'nothing'}.")


def working_tree() -> Build:
    """Return this checkout as it stands."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    version = _git("rev-parse", "--short=7", "HEAD") + ("+" if changed else "")
    return Build("tree", CHECKOUT, Path(sys.executable), version)


@contextmanager
def commit(name: str, folder: Path) -> Iterator[Build]:
    """Check a commit out into `folder`; with a virtual environment of its own where dependencies differ."""
    version = _git("rev-parse", "--short=7", f"{name}^{{commit}}")
    checkout = folder / f"base-{version}"
    _git("worktree", "add", "--detach", "--quiet", str(checkout), version)
    try:
        python = Path(sys.executable) if _same_dependencies(checkout) else _environment(checkout, folder)
        yield Build("base", checkout, python, version)
    finally:
        _git("worktree", "remove", "--force", str(checkout))


def _same_dependencies(checkout: Path) -> bool:
    """Tell whether this environment has all that a checkout asks for, at the versions that it pins."""
    ours, theirs = _pins(CHECKOUT), _pins(checkout)
    pinned_alike = all(ours[name] == version for name, version in theirs.items() if name in ours)
    return pinned_alike and _needed(checkout) <= _needed(CHECKOUT)


def _pins(checkout: Path) -> dict[str, str]:
    lines = (checkout / "constraints.txt").read_text().splitlines()
    pins = (line.partition("#")[0].strip().partition("==") for line in lines)
    return {name: version for name, _, version in pins if version}


def _needed(checkout: Path) -> set[str]:
    """Return the packages that the daemons need, by name."""
    settings = configparser.ConfigParser()
    settings.read(checkout / "setup.cfg")
    lines = settings["options"]["install_requires"].split("\n")
    return {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if line}


def _environment(checkout: Path, folder: Path) -> Path:
    environment = folder / "base-venv"
    print(f"The dependencies of {checkout.name} differ: installing them.", flush=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [
            *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--constraint", checkout / "constraints.txt", "--editable", checkout),
        ],
        check=True,
        capture_output=True,
    )
    return python


def _git(*arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise RuntimeError("git is not there; the benchmark tells versions by it.")
    return subprocess.run(
        [git, *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout.strip()
