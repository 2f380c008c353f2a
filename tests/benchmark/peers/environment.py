"""Installs what peers need: PyPI's into ``.venv/bench``, Debian's into the system, as ``.ci/run`` does."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmark.builds import CHECKOUT
from tests.benchmark.peers.ports import Unsupported

_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_PLACE = CHECKOUT / ".venv" / "bench"


@functools.cache
def python() -> Path:
    """Return the Python of the benchmark's own environment; made, or made anew, where its pins are others."""
    ready = _PLACE / ".ready"
    found = _PLACE / "bin" / "python"
    if not ready.exists() or ready.read_text() != _REQUIREMENTS.read_text():
        print("Installing DuckDB, chDB and a client of PostgreSQL into .venv/bench.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", _PLACE], check=True)
        subprocess.run(
            [found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", _REQUIREMENTS],
            check=True,
            capture_output=True,
        )
        ready.write_text(_REQUIREMENTS.read_text())
    return found


@functools.cache
def program(name: str, package: str) -> Path:
    """Return a program of a Debian package, installed where we may; raises `Unsupported`."""
    path = shutil.which(name)
    if path is None and _install(package):
        path = shutil.which(name)
    if path is None:
        raise Unsupported(f"{name}, of Debian's {package}, is not to be had here")
    return Path(path)


@functools.cache
def postgresql_programs() -> Path:
    """Return the directory of the newest PostgreSQL's programs; raises `Unsupported`."""
    places = _postgresql_places()
    if not places and _install("postgresql"):
        places = _postgresql_places()
    if not places:
        raise Unsupported("postgresql is not to be had here")
    return places[-1]


def _postgresql_places() -> list[Path]:
    return sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def _install(package: str) -> bool:
    """Tell whether Debian's package could be installed, without starting its service."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (root and shutil.which("sudo") is None):
        return False
    print(f"Installing Debian's {package}.", flush=True)
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    commands = [
        [*root, *quiet, "update"],
        [*root, *quiet, "install", "-y", "--no-install-recommends", package],
    ]
    return all(subprocess.run(command, capture_output=True).returncode == 0 for command in commands)
