"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

from tests.tools import examples

# How long one example takes says more about the machine than about the code; pytest-timeout bounds a test.
settings.register_profile("cube", deadline=None, max_examples=examples(100))
settings.load_profile("cube")
