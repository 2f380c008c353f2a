"""What `make` does where something is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.daemon import CHECKOUT
from tests.tools import tool

WITHOUT_PIP = """#!/bin/sh
{python} -m venv --without-pip .venv
echo "ensurepip is not available"
exit 1
"""
"""A Python as Debian's is without python3-venv: it leaves what it has made so far."""


def test_an_environment_that_could_not_be_made_is_made_again(tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    python = tmp_path / "python"
    python.write_text(WITHOUT_PIP.format(python=sys.executable))
    python.chmod(0o700)
    make = [tool("make"), "--silent", f"PYTHON={python}", ".venv/bin/python"]
    for _ in range(2):
        made = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert made.stdout == "ensurepip is not available\n"
        assert made.returncode != 0
