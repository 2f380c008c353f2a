"""The programs of an installation; each finds our packages beside this one, whatever else is on the path.

``collector`` and ``evaluator`` are names that other people's modules have, too: one that a ``PYTHONPATH``
leads to must not stand in for ours.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_BESIDE = str(Path(__file__).resolve().parent.parent)


def collector() -> None:
    """Run a collector, as ``cube-collector``."""
    _run("collector")


def evaluator() -> None:
    """Run an evaluator, as ``cube-evaluator``."""
    _run("evaluator")


def import_own(package: str) -> None:
    """Import the package of that name that lies beside ``cube``. Raises `ImportError` where none does."""
    if package in sys.modules:
        return
    spec = PathFinder.find_spec(package, [_BESIDE])
    if spec is None or spec.loader is None:
        raise ImportError(f"There is no package {package} in {_BESIDE}.", name=package)
    module = module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)


def _run(package: str) -> None:
    import_own(package)
    import_module(f"{package}.main").main()


if __name__ == "__main__":
    _run(sys.argv.pop(1))
