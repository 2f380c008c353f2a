"""What listens by UDP: Cube's own events, and StatsD where it is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from collector.ingest.batch import Limits, read_each
from collector.ingest.intake import Intakes
from collector.ingest.unknown_keys import UnknownKeys
from collector.instrumentation import DatagramFigures
from collector.protocols.native.datagram import Datagrams, Read
from collector.protocols.statsd import StatsdReader
from cube.errors import CubeError
from cube.model.event import Event
from cube.model.horizon import Horizon
from cube.settings import CollectorSettings
from cube.web import Authenticator


class Receiver(NamedTuple):
    """What takes the datagrams of a port; ``name``: as the ready-file calls its address."""

    name: str
    datagrams: Datagrams
    port: int


def udp_ports(settings: CollectorSettings) -> tuple[int, ...]:
    """Return the ports on which a collector may receive datagrams."""
    statsd = (settings.dialects.statsd_port,) if settings.dialects.statsd else ()
    return (settings.udp_port, *statsd)


def receivers(
    intakes: Intakes,
    authenticator: Authenticator,
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
    limits: Limits,
) -> Iterator[Receiver]:
    """Return the receivers of a collector: none where a key is needed, which no datagram carries."""
    trusted = settings.udp_trusted
    if authenticator.requires_keys and not trusted:
        return

    def receiver(name: str, read: Read, figures: DatagramFigures, port: int) -> Receiver:
        return Receiver(name, Datagrams(intakes, authenticator, read, figures, trusted=trusted), port)

    def read_native(datagram: bytes) -> tuple[Sequence[Event], Sequence[CubeError]]:
        unknown = UnknownKeys()
        events, errors = read_each(datagram, limits, now=clock(), note_unknown=unknown.add)
        if unknown and authenticator.keyless is not None:
            intakes[authenticator.keyless.name].noted(unknown)
        return events, errors

    def horizon() -> Horizon:
        return Horizon() if authenticator.keyless is None else intakes[authenticator.keyless.name].horizon

    yield receiver("udp", read_native, DatagramFigures(registry), settings.udp_port)
    if settings.dialects.statsd:
        dialect = settings.dialects
        reader = StatsdReader(dialect.statsd_lines, clock, dialect.statsd_flavour, horizon)
        figures = DatagramFigures(registry, "cube_statsd")
        yield receiver("statsd", reader, figures, settings.dialects.statsd_port)
