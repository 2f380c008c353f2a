"""Builds: this working tree, and another commit in a checkout of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
_DEPENDENCIES = ("constraints.txt", "setup.cfg")


@dataclass(frozen=True, slots=True)
class Build:
    """Sources to run, and the Python to run them with; ``name`` is "tree" or "base"."""

    name: str
    checkout: Path
    python: Path
    version: str

    def check(self) -> None:
        """Raise unless its Python runs its sources: another build's figures would be worth nothing."""
        for package in ("cube", "collector", "evaluator"):
            where = subprocess.run(
                [self.python, "-c", f"import {package}; print({package}.__file__)"],
                cwd=self.checkout,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            if not Path(where).is_relative_to(self.checkout):
                raise RuntimeError(f"The build {self.name} would run {package} from {where}.")


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
    """Tell whether the pins, and what is asked to be installed, are those of the working tree."""
    return all(_pins(checkout / name) == _pins(CHECKOUT / name) for name in _DEPENDENCIES)


def _pins(path: Path) -> list[str]:
    text = path.read_text()
    if path.suffix == ".cfg":
        text = text.partition("install_requires =")[2].partition("\n\n")[0]
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


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
    )
    return python


def _git(*arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise RuntimeError("git is not there; the benchmark tells versions by it.")
    return subprocess.run(
        [git, *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout.strip()
