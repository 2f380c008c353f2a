"""The settings of the two daemons. Every field here is read by one; a test holds that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cube.model.environment import Environment, Key
from cube.settings.collecting import (
    CollectorLimits,
    DialectSettings,
    HorizonSettings,
    IntakeSettings,
    RetentionSettings,
    SpoolSettings,
)
from cube.settings.setting import setting

TYPE = "[a-z_][a-zA-Z0-9_]{0,63}"
DATABASE = "[A-Za-z0-9_-]{1,63}"
ORIGIN = r"([a-z]+|\*)://.+"
HOST = r"\*|(\*\.)?[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?"

_MIB = 2**20


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
        "All answers held at once, while they are made and until their clients have read them; beyond it"
        " those that hold most are refused, or their connections closed.",
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
        "Web origins that may call (https://example.org, *://*.example.org:*); none named: any that has a"
        " key may, and without one those on loopback (http://localhost:*).",
        pattern=ORIGIN,
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names by which the daemon may be called without a key, beside loopback ones: what stands in Host."
        " *.example.org is any below, * any.",
        pattern=HOST,
    )
    insecure: bool = setting(False, "Listen on an address that others reach though no keys are configured.")
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Networks of the proxies in front (10.0.0.0/8, ::1): what they say of a client's address and scheme"
        " counts.",
        pattern=r"[0-9A-Fa-f:.]+(/[0-9]+)?",
    )
    proxy_header: str = setting(
        "any",
        "Which of their headers counts; any: Forwarded where there is no other.",
        choices=("any", "x-forwarded-for", "forwarded"),
    )
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
    status_seconds: float = setting(
        5.0,
        "How often the daemon tells of itself in the store, for the status that evaluators answer; 0: never.",
        low=0,
        high=3600,
    )
    ready_file: str = setting("", "A file to write the addresses to, as JSON, once the daemon listens.")
    http: HttpSettings = HttpSettings()
    environments: tuple[Environment, ...] = ()
    """From the file's tables alone; see `cube.settings.environments`."""
    keys: tuple[Key, ...] = ()
    """The keys of those tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings(DaemonSettings):
    """The settings of the collector."""

    program: ClassVar[str] = "collector"

    port: int = setting(1080, "The port of HTTP and WebSocket; 0 is any free one.", low=0, high=65_535)
    udp_port: int = setting(1180, "The port of UDP; 0 is any free one.", low=0, high=65_535)
    processes: int = setting(1, "So many collectors share the port, each a process.", low=1, high=256)
    udp_trusted: bool = setting(
        False, "Take datagrams, which carry no key, though keys are configured: the network is trusted."
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
class BlockSettings:
    """Events that were read for a metric, kept as columns for the next."""

    memory_bytes: int = setting(
        128 * _MIB,
        "About what the columns that are kept may take, of all environments; with 0 none are kept, and events"
        " are read again for each new expression.",
        low=0,
        high=2**40,
    )
    series_bytes: int = setting(
        32 * _MIB,
        "About what the answers may take that are kept for those who ask again, of all environments; with 0"
        " none are kept, and the store's cache is read each time.",
        low=0,
        high=2**40,
    )
    disk_bytes: int = setting(
        1024 * _MIB,
        "About what the column files may take, of all environments: columns of hours in which nothing"
        " changes any more, for after a restart and after they have left the memory. With 0, or memory_bytes"
        " 0, none are made, and none are read.",
        low=0,
        high=2**50,
    )
    directory: str = setting(
        "",
        "Where the column files are, if not beside the files of a sqlite: store; for a MongoDB there are none"
        " where this is empty.",
    )
    read_ahead: bool = setting(
        True,
        "Read what comes in about once a second, of types whose newest buckets somebody asks for, so that"
        " little is left to read when a bucket closes; else all of it is read then.",
    )
    preload_seconds: float = setting(
        0.25,
        "So long at most a daemon that starts reads the column files that were used last, into half of"
        " memory_bytes, before it serves; with 0 it reads each when somebody asks.",
        low=0,
        high=60,
    )
    idle: bool = setting(
        True,
        "Read quiet hours while nobody asks, and make column files of all their fields; else none are made,"
        " and those that are there are used.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """Boards whose metrics are kept computed, so that they open at once."""

    refresh_seconds: float = setting(
        60.0,
        "How often the metrics of boards are computed that were opened lately, behind all queries, and for a"
        " fifth of the time at most; 0: not before somebody asks.",
        low=0,
        high=86_400,
    )
    opened_days: float = setting(
        7.0, "How long after a board was opened last that is done for it.", low=0, high=366
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSettings:
    """Statements of SQL over the events; see docs/sql.md."""

    enabled: bool = setting(
        False, "Answer POST /1.0/sql for whoever may read without a filter; needs the extra sql."
    )
    seconds: float = setting(
        30.0, "How long a statement may take, until its answer is read.", low=0.1, high=86_400
    )
    memory_bytes: int = setting(
        512 * _MIB,
        "What DuckDB may take for one statement; a process ends that takes 256 MiB more.",
        low=64 * _MIB,
        high=2**40,
    )
    statements: int = setting(
        2, "Statements that run at once, each in a process; others wait.", low=1, high=100
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSettings(DaemonSettings):
    """The settings of the evaluator."""

    program: ClassVar[str] = "evaluator"

    port: int = setting(1081, "The port of HTTP and WebSocket; 0 is any free one.", low=0, high=65_535)
    limits: EvaluatorLimits = EvaluatorLimits()
    stream: StreamSettings = StreamSettings()
    blocks: BlockSettings = BlockSettings()
    boards: BoardSettings = BoardSettings()
    sql: SqlSettings = SqlSettings()
