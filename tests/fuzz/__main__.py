"""``make fuzz``: at least 100 000 hostile inputs, half of them to daemons on each store."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.campaign import random_seed, run, target
from tests.mongo_server import MongoServer


def main() -> None:
    """Run the campaigns, and say what was sent."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=…", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random_seed())
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    total = 0
    with tempfile.TemporaryDirectory(prefix="cube-fuzz-") as folder, MongoServer() as server:
        for name, store in (("SQLite", f"sqlite:{folder}/store"), ("MongoDB", server.url)):
            directory = Path(folder) / name
            directory.mkdir()
            began = time.monotonic()
            with target(store, directory) as aimed:
                sent = run(aimed, -(-given.inputs // 2), given.seed)
            total += sum(sent.values())
            for way, count in sent.items():
                sys.stdout.write(f"{name:8} {way:28} {count:7}\n")
            sys.stdout.write(f"{name:8} took {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"{total} inputs: no fault, no hang, no leak.\n")


if __name__ == "__main__":
    main()
