"""The command: ``python -m tests.benchmark [--quick] [--write] [--base COMMIT] [NAME …]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.benchmark import builds, machine, plot, report
from tests.benchmark.report import Row
from tests.benchmark.running import FAULTS, Rivals
from tests.benchmark.stores import Subject
from tests.benchmark.workloads import Case, chosen, read


def arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads whose names contain it; else all")
    parser.add_argument("--list", action="store_true", help="name the workloads, and run none")
    parser.add_argument("--quick", action="store_true", help="small sizes, and without NAMEs few workloads")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/performance.md")
    parser.add_argument("--base", default=os.environ.get("BASE", ""), help="a commit to run beside; or BASE")
    parser.add_argument("--repetitions", type=int, help="in place of the workload's own number")
    parser.add_argument("--alone", action="store_true", help="without peers and yardsticks")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run what was asked for; the status is 1 where an answer was wrong or a daemon refused."""
    options = arguments(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that daemons and checkouts go too
    every = read()
    cases = chosen(every, options.names, options.quick)
    if not cases or options.list:
        print("\n".join(f"{case.name:32} {case.title}" for case in every))
        return 0 if options.list else 2
    if options.write and options.quick:
        print("Figures of a quick run are not written down: leave out --write or --quick.")
        return 2
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cube-bench-") as folder:
        order = [case.name for case in every]
        write = partial(_write, order=order) if options.write else _keep
        failures, run = _run(cases, options, Path(folder), load, write)
    print(f"\n{run}")
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


def _write(rows: list[Row], run: str, *, order: list[str]) -> None:
    """Put rows into the page, after each workload: who ends a run of half an hour keeps what it had."""
    text = report.merged(report.PAGE.read_text(), rows, run, order)
    plot.write(report.read(text))
    report.PAGE.write_text(text)


def _keep(rows: list[Row], run: str) -> None:
    """Write nothing."""


def _run(
    cases: list[Case],
    options: argparse.Namespace,
    folder: Path,
    load: float,
    write: Callable[[list[Row], str], None],
) -> tuple[list[str], str]:
    failures: list[str] = []
    with ExitStack() as stack:
        versions = [builds.working_tree()]
        if options.base:
            versions.append(stack.enter_context(builds.commit(options.base, folder)))
        subjects = []
        for build in versions:
            build.check()
            subjects.append(stack.enter_context(Subject(build, folder)))
        rivals = stack.enter_context(Rivals(subjects, folder))
        when = f"{datetime.now(UTC):%Y-%m-%d}, " + " : ".join(build.version for build in versions)
        for case in cases:
            case = _as_asked(case, options)
            try:
                measured = rivals.measure(case)
            except FAULTS as error:
                failures.append(f"{case.name}: {error}")
                print(f"{case.name}: {error}", flush=True)
                continue
            write(_told(report.rows(measured, when)), _described(load, rivals))
            for name, reason in measured.missing.items():
                print(f"    without {name}: {reason}", flush=True)
        return failures, _described(load, rivals)


def _described(load: float, rivals: Rivals) -> str:
    peers = ", ".join(f"{name} {version}" for name, version in rivals.versions.items())
    run = f"Last run {datetime.now(UTC):%Y-%m-%d}: {machine.described(load)}; {machine.versions()}"
    return f"{run}; beside it {peers or 'nobody'}."


def _as_asked(case: Case, options: argparse.Namespace) -> Case:
    if options.repetitions:
        case = replace(case, repetitions=options.repetitions)
    return replace(case, against=()) if options.alone else case


def _told(rows: list[Row]) -> list[Row]:
    for row in rows:
        print(
            f"{row.workload}, {row.figure}: {row.ours}; base {row.base} ({row.ratio}); beside {row.beside}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
