"""What must hold of every reply, and of the daemons afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from cube.client import Emitter, Evaluator
from tests.daemon import Daemon

SECRET = "cube_canary-0123456789-ABCDEFGHIJ_xyz"
"""An API key of the daemons under test: no reply and no log line may hold it."""

CANARIES = [
    {"type": "canary", "time": 1_700_000_000_000 + number, "id": number, "data": {"n": number}}
    for number in range(10)
]
_TRACES = (b"Traceback (most", b'File "', b"pymongo.", b"sqlite3.", b"asyncio.")
_STATUSES = frozenset(
    {
        200,
        201,
        202,
        204,
        206,
        226,
        302,
        304,
        307,
        400,
        401,
        403,
        404,
        405,
        406,
        410,
        411,
        412,
        413,
        414,
        415,
        417,
        422,
        426,
        428,
        429,
        431,
        501,
        503,
        505,
    }
)


def check_reply(status: int, body: bytes) -> None:
    """Fail where a reply is a fault, or tells what nobody may know."""
    assert status in _STATUSES, f"got the status {status}: {body[:300]!r}"
    for trace in _TRACES:
        assert trace not in body, f"a reply shows the inside of the server: {body[:500]!r}"
    assert SECRET.encode() not in body, f"a reply shows a key: {body[:500]!r}"


def check_message(message: str | bytes) -> None:
    """Fail where a WebSocket message is not JSON, or tells what nobody may know."""
    content = message.encode() if isinstance(message, str) else message
    answer = json.loads(content)
    assert not (isinstance(answer, dict) and "met a fault" in str(answer.get("error"))), answer
    check_reply(200, content)


def store_canaries(collector: Daemon) -> None:
    """Store events that nothing hostile may change."""
    with Emitter(collector.http, key=SECRET) as emitter:
        emitter.send(CANARIES)


def check_daemon(running: Daemon, log: Path) -> None:
    """Fail where a daemon died, met a fault, or wrote a key into its log."""
    assert running.process.poll() is None, f"the daemon died:\n{log.read_text()[-3000:]}"
    text = log.read_text(errors="replace")
    for line in text.splitlines():
        assert json.loads(line)["level"] not in ("error", "critical"), line[:4000]
    assert SECRET not in text, "the log holds a key"


def check_canaries(evaluator: Daemon) -> None:
    """Fail where the canaries are not what was stored."""
    with Evaluator(evaluator.http, key=SECRET) as asking:
        found = asking.events("canary(n)", start=0, stop="2100-01-01")
        assert [(event.id, event.data) for event in found] == [(c["id"], c["data"]) for c in CANARIES]


def check_stored(evaluator: Daemon) -> None:
    """Fail where a stored event holds a key: foreign protocols have keys among their data."""
    with Evaluator(evaluator.http, key=SECRET) as asking:
        for type in asking.types():
            for event in asking.events(f"{type}(*)", start=0, stop="2100-01-01"):
                assert SECRET not in repr(event.data), f"an event of type {type} holds a key: {event}"
