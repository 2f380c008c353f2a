"""``make soak``: five minutes of overload, without a spool and with one; says what came of it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.mongo_server import MongoServer
from tests.soak.expectations import check
from tests.soak.overload import run

SECONDS = 300.0


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="cube-soak-") as directory, MongoServer() as server:
        for name, flags in (("no spool", ()), ("a spool", ("--spool-directory", f"{directory}/spool"))):
            report = run(server, Path(directory), seconds, *flags)
            sys.stdout.write(f"\n{name}, {seconds:g} s\n{report.lines()}")
            check(report)


if __name__ == "__main__":
    main()
