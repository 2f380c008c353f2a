"""Many who send much at once: a running collector decodes it in turn, and holds no more than its bounds."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path

from tests.daemon import Daemon, daemon
from tests.integration.test_web_limits import figure, frame
from tests.web_client import HANDSHAKE, connection, head

MIB = 2**20
CROWD = 32
EVENT = {"type": "a", "time": 1_700_000_000_000, "data": {"n": 1, "m": {"a": 1, "b": None}, "l": [1, 2, 3]}}
MESSAGE = json.dumps([EVENT] * 12_000).encode()
"""One MiB that decoded takes about twenty."""

FLAGS = {
    "--http-bodies-bytes": 64 * MIB,
    "--limits-body-bytes": 3 * MIB,
    "--limits-batch-events": 12_000,
    "--intake-waiting-events": 12_000,
}


def peak_bytes(running: Daemon) -> int:
    """Return the most memory that a daemon has had."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


async def test_what_a_crowd_sends_is_decoded_in_turn(tmp_path: Path) -> None:
    """Half of them over HTTP, where more than may wait is refused; sockets wait until theirs is stored."""
    flags = [text for name, value in FLAGS.items() for text in (name, str(value))]
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags) as collector:
        before = peak_bytes(collector)
        async with AsyncExitStack() as stack:
            for number in range(CROWD):
                own = await stack.enter_async_context(connection(collector.port))
                if number % 2:
                    length = {"Content-Length": str(len(MESSAGE))}
                    await own.send_all(head("POST", "/1.0/event", length) + MESSAGE)
                else:
                    answer = await own.ask("GET", "/1.0/event/put", headers=HANDSHAKE, seconds=60)
                    assert answer.status == 101
                    await own.send_all(frame(MESSAGE))
            async with asyncio.timeout(60):
                while await figure(collector, "cube_events_accepted_total") < 2 * 12_000:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        more = peak_bytes(collector) - before
        assert more < 150 * MIB, f"{more // MIB} MiB more"
