"""A process without pandas, which pyarrow imports with its first array wherever it is installed.

Nothing of an evaluator needs it: it would take 40 MB, and half a second of whoever needs the first array.
"""

from __future__ import annotations

import sys


class _Without:
    """A finder of modules that finds no pandas, and leaves all else to others."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide_pandas() -> None:
    """Have whoever imports pandas in this process find that it is not installed."""
    sys.meta_path.insert(0, _Without)
