"""Metrics of the process, and of several processes on one port: whichever is asked tells those of all.

The kernel gives a scrape to any process. Its own metrics alone would jump with every scrape; so each
tells its own to the others on a Unix socket, and all series have a label ``process``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

ASK_SECONDS = 1.0
"""How long another process may take to tell its metrics before it is left out."""

_UP = (
    "# HELP cube_process_up Whether a process on this port told its metrics.\n# TYPE cube_process_up gauge\n"
)


def with_process_metrics(registry: CollectorRegistry) -> CollectorRegistry:
    """Add the metrics of the process itself to a registry, and return it."""
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class MultiprocessRegistry(CollectorRegistry):
    """The metrics of process `number` of `count`, whose sockets are in `directory`."""

    def __init__(self, directory: Path, number: int, count: int) -> None:
        super().__init__()
        self._directory = directory
        self._number = number
        self._count = count

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Tell the others while the block runs."""
        path = self._path(self._number)
        path.unlink(missing_ok=True)  # of one that was killed
        server = await asyncio.start_unix_server(self._tell, path)
        try:
            yield
        finally:
            server.close()

    async def text(self) -> bytes:
        """Return the metrics of all processes that answer, in the format of Prometheus."""
        told = await asyncio.gather(*map(self._ask, range(self._count)))
        return merged(told).encode()

    def _path(self, number: int) -> Path:
        return self._directory / f"{number}.metrics"

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(generate_latest(self))
            await writer.drain()
        except ConnectionError:
            return  # the other one waits no more
        finally:
            writer.close()

    async def _ask(self, number: int) -> str | None:
        if number == self._number:
            return generate_latest(self).decode()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path(number))
                try:
                    return (await reader.read()).decode()
                finally:
                    writer.close()
        except OSError:  # TimeoutError among them: it starts, or hangs, and `cube_process_up` says so
            return None


def merged(texts: Sequence[str | None]) -> str:
    """Merge metrics in Prometheus' format: each family once, with the samples of every process."""
    families: dict[str, list[str]] = {}
    for number, text in enumerate(texts):
        for head, samples in _families(text or ""):
            families.setdefault(head, []).extend(_labelled(sample, number) for sample in samples)
    families[_UP] = [f'cube_process_up{{process="{n}"}} {int(bool(text))}\n' for n, text in enumerate(texts)]
    return "".join(head + "".join(samples) for head, samples in families.items())


def _families(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each family's lines that begin with # as one text, and its samples."""
    head, samples = "", list[str]()
    for line in text.splitlines(keepends=True):
        if line.startswith("# HELP") and head:
            yield head, samples
            head, samples = "", []
        if line.startswith("#"):
            head += line
        else:
            samples.append(line)
    if head:
        yield head, samples


def _labelled(sample: str, number: int) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{process="{number}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{process="{number}"}} {value}'
