"""All dialects, and which of them are on.

A new one is a line here, a switch in `DialectSettings` and a page in ``docs/dialects``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from collector.protocols import lines, mixpanel, posthog, segment, webhook
from collector.protocols.cloudevents import http as cloudevents
from collector.protocols.collectd import protocol as collectd
from collector.protocols.elasticsearch import protocol as elasticsearch
from collector.protocols.eye import EYE
from collector.protocols.influx import protocol as influx
from collector.protocols.loki import protocol as loki
from collector.protocols.otlp import http as otlp
from collector.protocols.sentry import protocol as sentry
from collector.protocols.shared.dialect import Dialect
from collector.protocols.snowplow import protocol as snowplow
from collector.protocols.tracardi.protocol import TRACARDI
from cube.settings import DialectSettings


def dialects(settings: DialectSettings) -> list[Dialect]:
    """Return the dialects that the settings switch on."""
    otlp_options: Any = {"hashed_ids": settings.otlp_hashed_ids, "environments": settings.otlp_environments}
    snowplow_options: Any = {
        "with_datacoral": settings.datacoral,
        "struct_types": settings.snowplow_struct_types,
    }
    table: Sequence[tuple[bool, Callable[[], Dialect]]] = (
        (settings.collectd, partial(collectd.dialect, differences=settings.collectd_differences)),
        (settings.eye, lambda: EYE),
        (settings.tracardi, lambda: TRACARDI),
        (settings.cloudevents, cloudevents.dialect),
        (settings.otlp, partial(otlp.dialect, **otlp_options)),
        (settings.segment, segment.dialect),
        (settings.posthog, posthog.dialect),
        (settings.mixpanel, mixpanel.dialect),
        (settings.sentry, sentry.dialect),
        (settings.influx, influx.dialect),
        (settings.loki, loki.dialect),
        (settings.lines, partial(lines.dialect, hashed_ids=settings.lines_hashed_ids)),
        (settings.webhook, partial(webhook.dialect, secrets=settings.webhook_secrets)),
        (settings.elasticsearch, elasticsearch.dialect),
        (settings.snowplow, partial(snowplow.dialect, settings.snowplow_paths, **snowplow_options)),
    )
    return [make() for is_on, make in table if is_on]
