"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.tools import LONG, examples

# How long one example takes says more about the machine than about the code; pytest-timeout bounds a test.
settings.register_profile("cube", deadline=None, max_examples=examples(100))
settings.load_profile("cube")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave slow tests to the long runs: `make test` has ten minutes."""
    if LONG:
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow, and CUBE_TEST_LONG is not set"))
