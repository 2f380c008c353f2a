"""Each environment has its own bounds of age, beside those of the daemon."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.errors import InvalidSettings
from cube.settings import CollectorSettings, environments_of, load
from tests.daemon import Daemon, daemon
from tests.web_client import ask

DAY = 86_400_000

SETTINGS = """
[horizon]
past_days = 100

[environments.long]
past_days = 0
[[environments.long.keys]]
name = "long"
key = "long-key"

[environments.short]
event_days = 2
[[environments.short.keys]]
name = "short"
key = "short-key"
"""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Daemon]:
    config = tmp_path / "collector.toml"
    config.write_text(SETTINGS)
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--config", str(config)) as running:
        yield running


def stored(collector: Daemon, key: str, days_ago: int) -> bool:
    event = {"type": "a", "id": days_ago, "time": time.time_ns() // 1_000_000 - days_ago * DAY}
    answer = asyncio.run(
        ask(collector.port, "POST", "/1.0/event", json.dumps(event).encode(), {"X-Api-Key": key})
    )
    assert answer.status in (200, 400), answer.body
    return answer.status == 200


def test_an_environments_own_horizon_stands_before_the_daemons(collector: Daemon) -> None:
    assert stored(collector, "long-key", 200)
    assert not stored(collector, "short-key", 200)


def test_an_environments_own_retention_is_heeded(collector: Daemon) -> None:
    assert not stored(collector, "short-key", 3)  # at once: the type is not even there
    assert stored(collector, "short-key", 1)
    assert stored(collector, "long-key", 3)


def test_metrics_that_would_go_before_their_events_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "collector.toml"
    config.write_text("[retention]\nevent_days = 30\n[environments.prod]\nmetric_days = 7\n")
    settings = load(CollectorSettings, ["--config", str(config)], {})
    with pytest.raises(InvalidSettings, match="Got metric_days = 7 of the environment prod"):
        environments_of(settings)
