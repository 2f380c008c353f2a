"""Some seconds of what ``make soak`` does for five minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mongo_server import MongoServer, mongo_server
from tests.soak.expectations import check
from tests.soak.overload import run
from tests.tools import LONG

__all__ = ["mongo_server"]

SECONDS = 15.0


@pytest.mark.skipif(not LONG, reason="CUBE_TEST_LONG is not set")
def test_five_times_too_much_for_a_while(mongo_server: MongoServer, tmp_path: Path) -> None:
    report = run(mongo_server, tmp_path, SECONDS)
    check(report)
