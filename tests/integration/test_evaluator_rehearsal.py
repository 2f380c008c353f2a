"""The first question waits for no import: what it needs was imported before the evaluator listened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHILD = """
import asyncio, json, sys
from prometheus_client import CollectorRegistry
from cube.model.environment import DEFAULT
from cube.model.event import Event
from cube.settings import EvaluatorSettings
from cube.store.sqlite import open_store
from evaluator.app import EvaluatorDaemon
from tests.authenticators import open_authenticator
from urllib.parse import quote

EXPRESSIONS = [
    "sum(test(v))", "median(test(v))", "distinct(test(s))", "sum(test(v).eq(s, 's1'))",
    "sum(test(v)).group(s)",
    "sum(test(v).re(s, '1$')) / count(test)",
]

async def main(folder):
    store = await open_store(folder, "cube_development")
    events = [Event("test", 1_000 * n, f"id{n}", {"v": n / 3, "s": f"s{n % 5}"}) for n in range(2_000)]
    await store.events.save("test", events)
    settings = EvaluatorSettings(store=f"sqlite:{folder}", port=0, self_events=False)
    daemon = EvaluatorDaemon(
        {DEFAULT: store}, open_authenticator(), settings, CollectorRegistry(), lambda: 10**7
    )
    before, statuses = set(sys.modules), []
    host, port = daemon.addresses["http"].rpartition("/")[2].split(":")
    for expression in EXPRESSIONS:
        reader, writer = await asyncio.open_connection(host, int(port))
        path = f"/1.0/metric?expression={quote(expression)}&step=60000&start=0&stop=2000000"
        writer.write(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
        statuses.append((await reader.read()).split()[1].decode())
        writer.close()
    imported = sorted(set(sys.modules) - before)
    await daemon.stop(5)
    await store.close()
    print(json.dumps({"statuses": statuses, "imported": imported, "pyarrow": "pyarrow" in before}))

asyncio.run(main(sys.argv[1]))
"""


def test_the_first_questions_import_nothing(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)

    assert found == {"statuses": ["200"] * 6, "imported": [], "pyarrow": True}
