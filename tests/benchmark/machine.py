"""What a run ran on: kinds and versions, never names or places."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib import metadata
from pathlib import Path


def described(load: float) -> str:
    """Return the machine in a sentence; `load`: its load average when the run began."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}, load {load:.1f} at the beginning"
    )


def versions() -> str:
    """Return the versions of what our own figures rest on."""
    packages = ("numpy", "msgspec", "tornado", "pymongo")
    found = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", *found])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
