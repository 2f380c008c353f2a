"""The settings of the two daemons. Every field here is read by one; a test holds that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cube.environment import Environment, Key
from cube.settings.setting import setting

TYPE = "[a-z_][a-zA-Z0-9_]{0,63}"
DATABASE = "[A-Za-z0-9_-]{1,63}"
ORIGIN = r"([a-z]+|\*)://.+"

_MIB = 2**20
_CENTURY_DAYS = 36_525


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The bounds of what a connection may take, and how long it may take it."""

    connections: int = setting(
        15_000, "Connections open at once, WebSockets among them.", low=1, high=1_000_000
    )
    head_bytes: int = setting(64 * 1024, "A request's line and headers.", low=1024, high=1 * _MIB)
    url_bytes: int = setting(32 * 1024, "A request's path and query.", low=256, high=1 * _MIB)
    headers: int = setting(100, "The headers of a request, by name.", low=10, high=10_000)
    bodies_bytes: int = setting(
        256 * _MIB,
        "All bodies and WebSocket messages held at once; beyond it requests are refused, and sockets wait. As"
        " much again may wait so, and as much be messages that have come in part.",
        low=1 * _MIB,
        high=2**40,
    )
    answers_bytes: int = setting(
        512 * _MIB,
        "All answers held at once because their clients have not read them; beyond it those connections are"
        " closed that hold most.",
        low=1 * _MIB,
        high=2**40,
    )
    head_seconds: float = setting(
        20.0, "How long a request's head, or a connection's first one, may take.", low=1, high=3600
    )
    stall_seconds: float = setting(
        30.0, "How long a body, message or answer may move by less than 1 KiB.", low=1, high=3600
    )
    idle_seconds: float = setting(
        75.0, "How long a connection is kept for another request.", low=1, high=86_400
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """What both daemons can be told."""

    program: ClassVar[str]

    host: str = setting("127.0.0.1", "The address to listen on; 0.0.0.0 is every one.", pattern=r"\S+")
    store: str = setting(
        "mongodb://127.0.0.1:27017",
        "Where the events are: mongodb://HOST:PORT, or sqlite:DIRECTORY for one machine.",
    )
    database: str = setting("cube_development", "The name of the database in the store.", pattern=DATABASE)
    foreign: tuple[str, ...] = setting(
        (),
        "Types that other tools write too: nothing of them is cached. Refused on sqlite:, where none do.",
        pattern=TYPE,
    )
    origins: tuple[str, ...] = setting(
        (),
        "Web origins that may call (https://example.org, *://*.example.org:*); none named: any may.",
        pattern=ORIGIN,
    )
    insecure: bool = setting(False, "Listen on an address that others reach though no keys are configured.")
    tls_certificate: str = setting("", "A PEM file with the certificate chain: then HTTPS is spoken.")
    tls_key: str = setting("", "The PEM file of its private key; empty: in the certificate's file.")
    reuse_port: bool = setting(
        True, "Share the port with others that do (SO_REUSEPORT), so that a new process can take over."
    )
    stop_seconds: float = setting(
        10.0, "How long a stop takes at most; what was accepted is finished meanwhile.", low=0.1, high=3600
    )
    log_level: str = setting(
        "info", "What is worth a log line.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting(
        "auto", "JSON lines, or text; auto is text on a terminal.", choices=("auto", "json", "text")
    )
    sentry_dsn: str = setting("", "Where faults are reported to (needs the extra sentry); empty: nowhere.")
    self_events: bool = setting(
        False, "Store cube_request and cube_compute events about the daemon's own work."
    )
    ready_file: str = setting("", "A file to write the addresses to, as JSON, once the daemon listens.")
    http: HttpSettings = HttpSettings()
    environments: tuple[Environment, ...] = ()
    """From the file's tables alone; see `cube.settings.environments`."""
    keys: tuple[Key, ...] = ()
    """The keys of those tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorLimits:
    """The bounds of what a client may send."""

    event_bytes: int = setting(1 * _MIB, "The JSON text of one event.", low=100, high=15 * _MIB)
    body_bytes: int = setting(
        16 * _MIB, "A request's body, inflated, or a WebSocket message.", low=1000, high=1024 * _MIB
    )
    batch_events: int = setting(10_000, "The events of one array.", low=1, high=1_000_000)
    sockets: int = setting(10_000, "WebSockets open at once.", low=1, high=1_000_000)


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
        0.0, "For how many days of their time events are kept; 0: for ever.", low=0, high=_CENTURY_DAYS
    )
    metric_days: float = setting(
        0.0,
        "For how many days metrics are kept, as long as the events or longer; 0: for ever.",
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
        "Lines of StatsD stored in one second; more are dropped and counted.",
        low=1,
        high=10**7,
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
    otlp: bool = setting(True, "Take OpenTelemetry's logs (OTLP/HTTP).")
    otlp_hashed_ids: bool = setting(
        True, "Log records that are equal in everything are one event, so that a resend stores nothing twice."
    )
    otlp_environments: bool = setting(
        True, "A resource's deployment.environment.name has to be the environment; false: it is data alone."
    )
    segment: bool = setting(True, "Take what Segment's clients send.")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings(DaemonSettings):
    """The settings of the collector."""

    program: ClassVar[str] = "collector"

    port: int = setting(1080, "The port of HTTP and WebSocket; 0 is any free one.", low=0, high=65_535)
    udp_port: int = setting(1180, "The port of UDP; 0 is any free one.", low=0, high=65_535)
    processes: int = setting(1, "So many collectors share the port, each a process.", low=1, high=256)
    udp_trusted: bool = setting(
        False, "Take datagrams, which bear no key, though keys are configured: the network is trusted."
    )
    limits: CollectorLimits = CollectorLimits()
    intake: IntakeSettings = IntakeSettings()
    spool: SpoolSettings = SpoolSettings()
    horizon: HorizonSettings = HorizonSettings()
    retention: RetentionSettings = RetentionSettings()
    dialects: DialectSettings = DialectSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorLimits:
    """The bounds of what a client may ask."""

    rows: int = setting(
        10_000, "Events, or buckets, of one answer; a larger limit counts as this.", low=1, high=1_000_000
    )
    cells: int = setting(100_000, "Buckets times groups of one answer.", low=1, high=10_000_000)
    groups: int = setting(1_000, "Groups of one query.", low=1, high=100_000)
    message_bytes: int = setting(
        1 * _MIB, "A WebSocket message or a request's body.", low=1000, high=1024 * _MIB
    )
    sockets: int = setting(10_000, "WebSockets open at once.", low=1, high=1_000_000)
    requests: int = setting(100, "Requests running at once on one WebSocket.", low=1, high=100_000)
    scans: int = setting(
        8, "Long computations going on at once; each may hold memory_bytes.", low=1, high=1000
    )
    scans_waiting: int = setting(
        100, "Long computations that wait meanwhile; beyond it clients are told to.", low=0, high=100_000
    )
    query_seconds: float = setting(
        30.0, "How long a query may take, and one read of it on a MongoDB server.", low=0.01, high=3600
    )
    memory_bytes: int = setting(
        128 * _MIB, "About what the partial results of one query may take.", low=1000, high=2**40
    )
    answer_bytes: int = setting(64 * _MIB, "The JSON text of one answer.", low=100, high=2**40)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Streams of events and live metrics."""

    delay_ms: int = setting(
        5_000,
        "How long after its time an event is delivered, unless the client says.",
        low=0,
        high=86_400_000,
    )
    late_ms: int = setting(
        3_600_000, "How late an event is still delivered, unless the client says.", low=0, high=604_800_000
    )
    poll_ms: int = setting(1_000, "How often the store is asked for what is new.", low=10, high=60_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSettings(DaemonSettings):
    """The settings of the evaluator."""

    program: ClassVar[str] = "evaluator"

    port: int = setting(1081, "The port of HTTP and WebSocket; 0 is any free one.", low=0, high=65_535)
    limits: EvaluatorLimits = EvaluatorLimits()
    stream: StreamSettings = StreamSettings()
