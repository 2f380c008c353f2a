"""All dialects, and which of them are on.

A new one is a line here, a switch in `DialectSettings` and a page in ``docs/dialects``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from collector.protocols import cloudevents, collectd, otlp, segment, snowplow
from collector.protocols.eye import EYE
from collector.protocols.shared.dialect import Dialect
from collector.protocols.tracardi import TRACARDI
from cube.settings import DialectSettings

Entry: TypeAlias = tuple[bool, Callable[[], Dialect]]


def dialects(settings: DialectSettings) -> list[Dialect]:
    """Return the dialects that the settings switch on."""
    table: tuple[Entry, ...] = (
        (settings.collectd, lambda: collectd.dialect(differences=settings.collectd_differences)),
        (settings.eye, lambda: EYE),
        (settings.tracardi, lambda: TRACARDI),
        (settings.cloudevents, cloudevents.dialect),
        (
            settings.otlp,
            partial(
                otlp.dialect,
                hashed_ids=settings.otlp_hashed_ids,
                environments=settings.otlp_environments,
            ),
        ),
        (settings.segment, segment.dialect),
        (
            settings.snowplow,
            lambda: snowplow.dialect(
                settings.snowplow_paths,
                with_datacoral=settings.datacoral,
                struct_types=settings.snowplow_struct_types,
            ),
        ),
    )
    return [make() for is_on, make in table if is_on]
