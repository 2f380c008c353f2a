"""All tables that pages have."""

from __future__ import annotations

from cube.settings import (
    CollectorSettings,
    EnvironmentSettings,
    EvaluatorSettings,
    KeySettings,
    markdown_table,
)
from docs.made import http, words
from docs.made.daemons import Told

_SETTINGS = {
    "settings of the collector": CollectorSettings,
    "settings of the evaluator": EvaluatorSettings,
    "settings of an environment": EnvironmentSettings,
    "settings of a key": KeySettings,
}


def every_table(collector: Told, evaluator: Told) -> dict[str, str]:
    """Make every table of the code and of what both daemons tell, by the name that a page has for it."""
    settings = {name: markdown_table(cls) for name, cls in _SETTINGS.items()}
    return {**http.tables(collector, evaluator), **words.tables(), **settings}
