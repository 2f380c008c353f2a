"""What holds for all tests."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest
from hypothesis import settings

from tests.tools import LONG, SLOW_MODULES, examples

# How long one example takes says more about the machine than about the code; pytest-timeout bounds a test.
settings.register_profile("cube", deadline=None, max_examples=examples(100))
settings.load_profile("cube")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave slow tests to the long runs: `make test` has ten minutes."""
    if LONG:
        return
    for item in items:
        path = item.path.relative_to(item.config.rootpath).as_posix()
        is_slow = item.get_closest_marker("slow") or any(fnmatch(path, each) for each in SLOW_MODULES)
        if is_slow:
            item.add_marker(pytest.mark.skip(reason="slow, and CUBE_TEST_LONG is not set"))
