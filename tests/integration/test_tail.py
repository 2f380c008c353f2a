"""What `cube tail` shows after it has lost its connection."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from cube.cli.event_stream import StreamedEvent
from cube.cli.tail_place import TailPlace
from cube.client import Evaluator
from cube.client.stream_place import LATE_MS
from tests.evaluator_running import DAY, event, running

TAIL = "from cube.cli.main import main; main()"


def found(time: int, id: int | None, n: int) -> StreamedEvent:
    return StreamedEvent("test", time, id, {"n": n}, 0)


async def test_all_that_came_meanwhile_is_missed_once(tmp_path: Path) -> None:
    """Events of the same millisecond and late ones too, and more than one answer has."""
    async with running(tmp_path, now=DAY + LATE_MS, rows=5) as made:
        await made.save(*(event(DAY + time, {"n": n}, id) for time, id, n in ((-1, 0, 0), (5, 1, 1))))
        await made.save(event(DAY + 9, {"n": 2}), event(DAY + 9, {"n": 2}))
        place = TailPlace(("test(*)",), DAY)
        shown = [found(DAY + 5, 1, 1), found(DAY + 9, None, 2), found(DAY + 9, None, 2)]
        assert all(map(place.is_new, shown))

        await made.save(event(DAY + 9, {"n": 3}, 3), event(DAY + 7, {"n": 4}, 4), event(DAY + 9, {"n": 2}))
        await made.save(*(event(DAY + 100 + n, {"n": n}, n) for n in range(100, 120)))
        await made.save(event(DAY + 5, {"n": 5}, 1))  # replaced

        def missed() -> list[int]:
            with Evaluator(f"http://127.0.0.1:{made.port}") as evaluator:
                return [each.data["n"] for each in place.missed(evaluator)]

        assert sorted(await asyncio.to_thread(missed)) == [2, 3, 4, 5, *range(100, 120)]
        assert await asyncio.to_thread(missed) == []
        assert place.starts == [DAY + 5]


async def test_a_connection_that_is_cut_costs_no_event(tmp_path: Path) -> None:
    async with running(tmp_path, now=DAY + 1_000) as made:
        await made.save(event(DAY, {"n": 0}, 0))
        command = ("-c", TAIL, "tail", "--evaluator", f"http://127.0.0.1:{made.port}", "test(n)")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(*command, "--delay", "0", "--count", "4", "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1"},
        )
        try:
            assert process.stdout is not None
            lines = [await asyncio.wait_for(process.stdout.readline(), 60)]
            sockets = made.evaluator._server.service.sockets.open
            for socket in list(sockets):
                socket.stream.close()
            await made.save(event(DAY, {"n": 1}, 1), event(DAY + 2, {"n": 2}, 2), event(DAY + 1, {"n": 3}, 3))
            lines += [await asyncio.wait_for(process.stdout.readline(), 60) for _ in range(3)]
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert sorted(json.loads(line)["data"]["n"] for line in lines) == [0, 1, 2, 3]
