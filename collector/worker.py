"""One of several collectors on a port: ``python -m collector.worker DIRECTORY NUMBER COUNT FLAGS…``.

`collector.main` starts it; DIRECTORY is where the processes tell each other their metrics.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from collector.main import serve
from cube.daemon import begun
from cube.process.event_loop import run
from cube.process.metrics import MultiprocessRegistry
from cube.settings import CollectorSettings


def main() -> None:
    """Run collector NUMBER until SIGTERM."""
    directory, number, count, *flags = sys.argv[1:]
    os.environ.pop("NOTIFY_SOCKET", None)  # systemd hears of the parent
    with begun(CollectorSettings, flags) as settings:
        run(_work(settings, MultiprocessRegistry(Path(directory), int(number), int(count))))


async def _work(settings: CollectorSettings, registry: MultiprocessRegistry) -> None:
    async with registry.told():
        await serve(settings, registry)


if __name__ == "__main__":
    main()
