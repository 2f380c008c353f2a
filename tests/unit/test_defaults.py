"""What a service takes where nothing is said is what the settings say: each default has one source."""

from __future__ import annotations

from collector.protocols.shared.reading import SearchLimits
from cube.settings import DialectSettings, EvaluatorLimits, StreamSettings
from evaluator.engine.series import Bounds
from evaluator.query.queries import Defaults


def test_the_bounds_of_a_query_are_the_settings() -> None:
    assert Bounds() == Bounds.of(EvaluatorLimits())
    changed = EvaluatorLimits(groups=1, cells=2, query_seconds=3, memory_bytes=4000, answer_bytes=500)
    assert Bounds.of(changed) == Bounds(groups=1, cells=2, seconds=3, memory=4000, answer=500)


def test_what_a_query_does_not_say_is_in_the_settings() -> None:
    stream = StreamSettings()
    assert Defaults() == Defaults(EvaluatorLimits().rows, stream.delay_ms, stream.late_ms)


def test_the_bounds_of_a_search_are_the_settings() -> None:
    limits, settings = SearchLimits(), DialectSettings()
    assert (limits.events, limits.seconds) == (settings.eye_events, settings.eye_seconds)
