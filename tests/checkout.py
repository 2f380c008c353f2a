"""What of this checkout a wheel or an image is made of, copied."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.daemon import CHECKOUT

FOLDERS = ("bin", "cube", "collector", "evaluator", "config", "docs")
FILES = ("setup.cfg", "pyproject.toml", "constraints.txt", "README.md", "CHANGELOG.md", "LICENSE")


def copy_checkout(folder: Path) -> Path:
    """Copy into `folder`, which is made, and return it: what is built there leaves nothing here."""
    folder.mkdir()
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(CHECKOUT / name, folder)
    return folder
