"""The groups of the collector's settings. Every field here is read by it; a test holds that."""

from __future__ import annotations

from dataclasses import dataclass

from cube.settings.setting import setting

_MIB = 2**20
_CENTURY_DAYS = 36_525


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorLimits:
    """The bounds of what a client may send."""

    event_bytes: int = setting(1 * _MIB, "The JSON text of one event.", low=100, high=15 * _MIB)
    body_bytes: int = setting(
        16 * _MIB, "A request's body, inflated, or a WebSocket message.", low=1000, high=1024 * _MIB
    )
    batch_events: int = setting(10_000, "The events of one array.", low=1, high=1_000_000)
    sockets: int = setting(10_000, "WebSockets open at once.", low=1, high=1_000_000)
    keyless_deletion: bool = setting(
        False, "Let requests without a key delete events, where they may write them."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """The bounds of what the collector holds in memory before it is written."""

    waiting_events: int = setting(
        200_000,
        "Events accepted but not yet written, one type half of them at most; beyond it clients are told to"
        " wait.",
        low=1,
        high=10**8,
    )
    waiting_bytes: int = setting(64 * _MIB, "The JSON text of those events.", low=1 * _MIB, high=2**40)
    commit_events: int = setting(10_000, "The events of one commit.", low=1, high=100_000)
    sweep_seconds: float = setting(
        60.0, "How often the notes of dead processes are looked for.", low=1, high=86_400
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """Events on the collector's own disk while a MongoDB is away."""

    directory: str = setting(
        "",
        "Where the spool's files are; empty: no spool. A sqlite: store has none, it is on that disk itself.",
    )
    bytes: int = setting(
        1024 * _MIB, "The disk that one environment's spool may take.", low=1 * _MIB, high=2**50
    )
    square_emitters: bool = setting(
        False,
        "Answer 200, not 202, to native events that are only in the spool: Square's HTTP emitter sends what"
        " met a 202 again and again.",
    )
    patience_seconds: float = setting(
        5.0,
        "How long a commit may take before its events go to the spool and the store counts as away.",
        low=0.1,
        high=60,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonSettings:
    """How far from its arrival an event's time may be."""

    past_days: float = setting(
        0.0, "How many days old an event may be; 0: any age.", low=0, high=_CENTURY_DAYS
    )
    future_minutes: float = setting(
        0.0, "How many minutes ahead an event may be; 0: any.", low=0, high=_CENTURY_DAYS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long events and metrics are kept."""

    event_days: float = setting(
        0.0, "For how many days of their time events are kept; 0: forever.", low=0, high=_CENTURY_DAYS
    )
    metric_days: float = setting(
        0.0,
        "For how many days metrics are kept, as long as the events or longer; 0: forever.",
        low=0,
        high=_CENTURY_DAYS,
    )
    lag_seconds: float = setting(
        3600.0,
        "How long after they have expired events are deleted: longer than a query may take.",
        low=0.1,
        high=86_400,
    )
    period_seconds: float = setting(600.0, "How often what has expired is looked for.", low=0.1, high=86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectSettings:
    """The foreign protocols that the collector understands; see docs/dialects."""

    types: int = setting(
        200, "Types that one dialect may make in an environment; then DIALECT_other.", low=1, high=10_000
    )
    collectd: bool = setting(True, "Take what collectd's plugin write_http sends.")
    collectd_differences: bool = setting(
        False, "Store Square's raw differences of derive values, instead of rates per second."
    )
    statsd: bool = setting(False, "Take StatsD's lines over UDP, on a port of their own.")
    statsd_port: int = setting(8125, "The port of StatsD; 0 is any free one.", low=0, high=65_535)
    statsd_lines: int = setting(
        10_000,
        "Values of StatsD's lines stored in one second; more are dropped and counted.",
        low=1,
        high=10**7,
    )
    statsd_flavour: str = setting(
        "statsd",
        "What a gauge's sign means: of statsd that it is a change, of datadog nothing.",
        choices=("statsd", "datadog"),
    )
    eye: bool = setting(True, "Take what clients of The Eye send, and answer what they ask.")
    eye_events: int = setting(
        10_000, "Events of one page of The Eye; a larger limit counts as this.", low=1, high=1_000_000
    )
    eye_seconds: float = setting(
        30.0, "How long a search of The Eye may take, and one read of it on a MongoDB.", low=0.01, high=3600
    )
    tracardi: bool = setting(True, "Take what Tracardi's trackers and webhooks send.")
    cloudevents: bool = setting(True, "Take CloudEvents.")
    otlp: bool = setting(True, "Take OpenTelemetry's logs, traces and metrics (OTLP/HTTP).")
    otlp_hashed_ids: bool = setting(
        True,
        "A log record that has a time is stored once, though its request be sent again.",
    )
    otlp_environments: bool = setting(
        True, "A resource's deployment.environment.name has to be the environment; false: it is data alone."
    )
    segment: bool = setting(True, "Take what Segment's clients send.")
    posthog: bool = setting(True, "Take what PostHog's libraries send.")
    mixpanel: bool = setting(True, "Take what Mixpanel's libraries send.")
    sentry: bool = setting(True, "Take what Sentry's SDKs send.")
    influx: bool = setting(True, "Take InfluxDB's line protocol.")
    loki: bool = setting(True, "Take what is pushed to Loki.")
    lines: bool = setting(True, "Take JSON lines: any JSON objects as events.")
    elasticsearch: bool = setting(True, "Take what is sent to Elasticsearch's _bulk.")
    webhook: bool = setting(True, "Take the webhooks of other services.")
    webhook_secrets: tuple[str, ...] = setting(
        (),
        "TYPE=SECRET for each type whose deliveries have to be signed; a type may have several while one is"
        " changed for another.",
    )
    lines_hashed_ids: bool = setting(
        True, "A line that has a time is stored once, though its request be sent again."
    )
    snowplow: bool = setting(True, "Take what Snowplow's trackers send.")
    snowplow_paths: tuple[str, ...] = setting(
        (),
        "Further /VENDOR/VERSION paths on which Snowplow's trackers post.",
        pattern=r"/[A-Za-z0-9._~-]+/[A-Za-z0-9._~-]+",
    )
    snowplow_struct_types: bool = setting(
        False, "Name a structured event by its category and action (shop_add), in place of struct_event."
    )
    datacoral: bool = setting(
        True,
        "As a part of snowplow, take what Datacoral's clients send: keys and environments in events, and two"
        " headers with a blank before the colon.",
    )
