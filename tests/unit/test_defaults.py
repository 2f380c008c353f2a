"""What a service takes where nothing is said is what the settings say: each default has one source."""

from __future__ import annotations

from collector.protocols.shared.reading import SearchLimits
from cube.settings import DialectSettings, EvaluatorLimits, EvaluatorSettings, StreamSettings
from evaluator.query.queries import EventQuery


def test_what_a_query_does_not_say_is_in_the_settings() -> None:
    changed = EvaluatorSettings(
        limits=EvaluatorLimits(rows=7), stream=StreamSettings(delay_ms=1_000, late_ms=2_000)
    )
    for settings in (EvaluatorSettings(), changed):
        query = EventQuery.parse({"expression": "test"}, now=0, settings=settings)
        assert query.limit == settings.limits.rows
        assert (query.delay, query.late) == (settings.stream.delay_ms, settings.stream.late_ms)


def test_the_bounds_of_a_search_are_the_settings() -> None:
    limits, settings = SearchLimits(), DialectSettings()
    assert (limits.events, limits.seconds) == (settings.eye_events, settings.eye_seconds)
