"""Daemons that the tests of several foreign clients share: each pair takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.foreign_client import KEYED, Running, running_with


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run both daemons with one environment, where `tests.foreign_client.WRITE_KEY` may write."""
    with running_with(tmp_path_factory.mktemp("keyed"), KEYED, "prod") as made:
        yield made
