"""What imports cost, format by format, beside the collector's own batches of the same events."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from cube.model import instant
from tests.benchmark import dataset
from tests.benchmark.asking import Connection
from tests.benchmark.processes import Daemon
from tests.benchmark.questions import TYPE
from tests.benchmark.reading import Figures, Turn
from tests.benchmark.stores import Subject
from tests.benchmark.workloads import Case

_FEW = 10
"""An import of so many records is what a command costs before it begins."""

Row = dict[str, Any]


@contextmanager
def importing(subject: Subject, case: Case) -> Iterator[Turn]:
    """The rate of an import in percent of that of HTTP batches of the same events, with ids of clients.

    Each works beside a collector, which has a processor of its own: so the slower of the two is the rate,
    and what is measured is processor time for an event. Each turn imports into empty stores.
    """
    with subject.empty(case.store) as store:
        rows = [_row(number) for number in range(case["events"])]
        files = {form: _written(store.folder, form, rows) for form in case["formats"]}
        few = {form: _written(store.folder, f"{form}-few", rows[:_FEW]) for form in case["formats"]}
        bodies = _bodies(rows, case["batch"])

        def turn() -> Figures:
            batches = _collected(subject, case, lambda collector: _post(collector, bodies))
            figures = {"batches µs": batches * 1e6}
            for form, path in files.items():
                spent: list[float] = []
                own = _collected(
                    subject,
                    case,
                    lambda collector, form=form, path=path, spent=spent: spent.append(  # type: ignore[misc]
                        _import(subject, collector, path) - _import(subject, collector, few[form])
                    ),
                )
                each = spent[0] / case["events"]
                figures |= {f"{form} %": 100 * batches / max(own, each), f"{form} µs": each * 1e6}
            return figures

        yield turn


def _collected(subject: Subject, case: Case, work: Callable[[Daemon], object]) -> float:
    """Return the processor seconds that a new collector takes for each event while some work is done."""
    with subject.empty(case.store) as store, subject.collector(store) as collector:
        before = collector.cpu_seconds()
        work(collector)
        return (collector.cpu_seconds() - before) / case["events"]


def _import(subject: Subject, collector: Daemon, path: Path) -> float:
    """Import a file, and return the processor seconds of the command."""
    command = [str(subject.build.python), "-m", "cube.cli.main", "import", str(path), "--type", TYPE]
    before = os.times()
    subprocess.run(
        [*command, "--collector", str(collector.http)],
        env={**os.environ, "PYTHONPATH": str(subject.build.checkout)},
        cwd=subject.build.checkout,
        check=True,
        capture_output=True,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _post(collector: Daemon, bodies: list[bytes]) -> None:
    with Connection(collector.http) as connection:
        for body in bodies:
            connection.post("/1.0/event", body)


def _row(number: int) -> Row:
    event = dataset.event(number)
    return {"time": instant.format(event.time), **event.data()}


def _bodies(rows: list[Row], size: int) -> list[bytes]:
    """Return batches of the events that an import makes of rows, with ids as long as it makes them."""
    events = [
        {"type": TYPE, "id": f"{number:029x}", "time": instant.parse(row["time"]), "data": row}
        for number, row in enumerate(rows)
    ]
    return [msgspec.json.encode(events[start : start + size]) for start in range(0, len(events), size)]


def _written(folder: Path, name: str, rows: list[Row]) -> Path:
    """Write rows in the format that a name begins with, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    match name.partition("-")[0]:
        case "jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case "pretty":
            path.write_text(json.dumps(rows, indent=2))
        case "concatenated":
            path.write_text("\n".join(json.dumps(row, indent=2) for row in rows))
        case "csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case "log":
            path.write_text("".join(map(_log_line, rows)))
        case _:
            raise ValueError(f"Got the format {name!r}; accepted are those of workloads.toml.")
    return path


def _log_line(row: Row) -> str:
    """Return a row as a line of the combined log format, about as long as one of JSON."""
    time = instant.to_datetime(instant.parse(row["time"])).strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = f"{row['method']} {row['path']} HTTP/1.1"
    size = round(row["duration_ms"])
    return (
        f'{row["host"]} - {row["user"]} [{time}] "{request}" {row["status"]} {size} "-" "Mozilla/5.0 (X11)"\n'
    )
