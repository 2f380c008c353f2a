"""Tools of the system that some tests need: found, or the test is skipped; in CI it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LONG = bool(os.environ.get("CUBE_TEST_LONG"))
"""Whether tests that take minutes run as long as they can; ``.ci/run`` has them do so."""

SLOW = pytest.mark.slow
"""What takes ten seconds or more, and is seen on the other store, or in a part, by tests that do not."""

SLOW_MODULES = (
    "tests/browser/test_boards_page.py",
    "tests/browser/test_cubism.py",
    "tests/browser/test_explore.py",
    "tests/browser/test_foreign_page.py",
    "tests/browser/test_page_views.py",
    "tests/browser/test_product_analytics.py",
    "tests/browser/test_segment.py",
    "tests/browser/test_snowplow.py",
    "tests/end_to_end/test_dialect_*.py",
    "tests/end_to_end/test_serve.py",
    "tests/fault/test_deleted_store.py",
    "tests/fault/test_evaluator_abuse.py",
    "tests/fault/test_half_open.py",
    "tests/fault/test_spool_*.py",
    "tests/fault/test_store_away.py",
    "tests/integration/test_*_clients.py",
    "tests/integration/test_access_streams.py",
    "tests/integration/test_evaluator_store_away.py",
    "tests/integration/test_log_shippers.py",
    "tests/integration/test_logs.py",
    "tests/integration/test_processes.py",
    "tests/integration/test_request_events.py",
    "tests/integration/test_retention.py",
    "tests/integration/test_several_daemons.py",
    "tests/integration/test_taking_over.py",
    "tests/integration/test_tracardi_browser.py",
)
"""Slow as a whole: clients of others, faults of stores, processes that replace each other, whole pages.

What they go through is seen in parts by tests that are quick.
"""

NODE = Path(__file__).resolve().parent / "node"
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def examples(count: int) -> int:
    """Return how many examples a property gets: so many in the long runs, three tenths in others."""
    return count if LONG else max(10, count * 3 // 10)


def tool(name: str) -> str:
    """Return the path of a program of the system."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        _missing(f"the program {name} is not there; .ci/run installs it")
    return str(found)


def as_root() -> list[str]:
    """Return the words before a command that only root may run; skips where nobody can be root."""
    if os.getuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo is None
        or subprocess.run([sudo, "-n", "true"], capture_output=True, timeout=60, check=False).returncode
    ):
        _missing("only root can do this, and there is no sudo without a password")
    return [str(sudo), "-n"]


def rsyslog(module: str) -> str:
    """Return the path of rsyslog's daemon, where a module of it is installed."""
    if not any(Path("/usr/lib").glob(f"*/rsyslog/{module}.so")):
        _missing(f"rsyslog's {module} is not there; .ci/run installs it")
    return tool("rsyslogd")


def node_package(name: str) -> str:
    """Return the path of node, where a package of tests/node is installed."""
    node = tool("node")
    if not (NODE / "node_modules" / name).is_dir():
        _missing(f"the package {name} is not in {NODE}; `make setup` installs it where there is npm")
    return node


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a client until the block ends; one that still runs then is stopped."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def python_packages(name: str) -> Path:
    """Return the directory of Python packages that stand apart from ours, listed in ``tests/clients``."""
    directory = Path(sys.prefix) / name
    if not (directory / ".ready").is_file():
        _missing(f"{directory} is not there; `make setup` makes it")
    return directory


def _missing(reason: str) -> None:
    if os.environ.get("CUBE_TEST_REQUIRE"):
        pytest.fail(reason)
    pytest.skip(reason)
