"""The benchmark works: its tables parse, answers agree, and figures can be written and read again."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark import asking, builds, dataset, plot, report
from tests.benchmark.asking import Connection
from tests.benchmark.compared import __main__ as compared
from tests.benchmark.processes import Address
from tests.benchmark.questions import Question, difference
from tests.benchmark.reading import Figures
from tests.benchmark.running import KINDS, Measured, Rivals
from tests.benchmark.stores import Subject
from tests.benchmark.watching import Poll, Watch
from tests.benchmark.workloads import Case, chosen, read
from tests.tools import SLOW, tool

EVENTS = 300


def test_every_workload_of_the_table_is_of_a_kind_that_can_be_measured() -> None:
    cases = read()

    assert {case.kind for case in cases} == set(KINDS)
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.repetitions >= 1 and case.title for case in cases)
    assert "ten-million 10000000" not in {case.name for case in chosen(cases, [], quick=False)}
    assert [case.name for case in chosen(cases, ["page"], quick=False)] == ["page"]


def test_questions_are_asked_of_cube_and_their_answers_agree_with_plain_ones(tmp_path: Path) -> None:
    tool("wrk")
    every = {case.name: case.quick() for case in read()}
    chosen = [_small(every[name]) for name in ("heat", "ingest-100")]
    tree = builds.working_tree()
    tree.check()

    with Subject(tree, tmp_path) as subject, Rivals([subject], tmp_path) as rivals:
        for case in chosen:
            measured = rivals.measure(case)

            assert all(value > 0 for figures in measured.samples["tree"] for value in figures.values())


def test_an_answer_that_differs_is_noticed() -> None:
    question = Question("median", "duration_ms", 60_000, group="host")
    plain = question.answer(map(dataset.event, range(EVENTS)))
    (bucket, group), value = next(iter(plain.items()))

    assert difference(plain, dict(plain)) == ""
    assert f"{bucket}, '{group}'" in difference(plain, {**plain, (bucket, group): value * (1 + 1e-8)})
    assert "in one answer alone" in difference(plain, {**plain, (bucket, "web99"): 1.0})


def test_a_connection_that_is_closed_in_an_answer_is_told_and_an_idle_one_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(*server.getsockname())

        def serve() -> None:
            for sent in (b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"):
                taken, _ = server.accept()
                with taken:
                    taken.recv(4_096)
                    taken.sendall(sent)

        with ThreadPoolExecutor(1) as threads, Connection(address) as connection:
            served = threads.submit(serve)
            with pytest.raises(ConnectionError, match="closed"):
                connection.get("/")
            monkeypatch.setattr(asking, "IDLE_SECONDS", 0.0)
            assert connection.get("/") == b"[]"
            served.result()


def test_new_rows_replace_those_about_the_same_and_keep_all_others() -> None:
    page = f"Before.\n\n{report.BEGIN}\n{report.END}\n\nAfter.\n"
    names = ["growth 10000", "growth 50000", "warm-360"]
    old = [row for name in names for row in report.rows(_measured(name, 8.0), "then")]
    new = report.rows(_measured("growth 50000", 1234.5), "now")

    first = report.merged(page, old, "Run one.", names)
    second = report.merged(first, new, "Run two.", names)

    found = report.read(second)
    assert [row.measured for row in found] == ["then", "now", "then"]
    assert [report.median(row.ours) for row in found] == [8.0, 1234.0, 8.0]
    assert found[0].ratio == "2 ×"
    assert second.startswith("Before.")
    assert second.endswith("After.\n")
    assert "Run one." not in second


def test_the_first_poll_and_those_that_close_a_bucket_are_figures_of_their_own() -> None:
    polls = [Poll(10.0 * number, closes=number == 9) for number in range(10)]
    watch = Watch([700.0, 900.0], polls, posts=[5.0] * 18, cpu_seconds=0.1)

    figures = watch.figures(2, calm_posts=10.0)

    assert figures["first poll ms"] == 900
    assert (figures["p50 ms"], figures["p99 ms"]) == (50, 90)
    assert (figures["closing p50 ms"], figures["closing p99 ms"]) == (90, 90)
    assert (figures["polls/s"], figures["evaluator CPU %"]) == (5, 5)
    assert figures["ingest slowed %"] == pytest.approx(10)
    calm = replace(watch, polls=[Poll(10.0, closes=False)])
    assert "closing p50 ms" not in calm.figures(2, calm_posts=10.0)


def test_growth_is_drawn_from_the_table() -> None:
    rows = [row for name in ("growth 10000", "growth 50000") for row in report.rows(_measured(name, 8.0), "")]

    lines = plot.series([*rows, *report.rows(_measured("warm-360", 8.0), "")])

    assert lines == {
        "another question": [(10_000, 8), (50_000, 8)],
        "another question, BASE": [(10_000, 4), (50_000, 4)],
        "DuckDB": [(10_000, 4), (50_000, 4)],
    }
    drawn = plot.svg(lines)
    assert drawn.count("<circle") == 6
    ours, base, duckdb = re.findall('<path d="M[^"]*L[^"]*" fill="none" stroke="([^"]*)"', drawn)
    assert ours == base != duckdb, "BASE has the colour of what it is compared with"
    assert drawn.count("stroke-dasharray") == 1


@pytest.mark.skipif(not report.PAGE.exists(), reason="the documents are not in this checkout")
def test_the_table_of_the_documents_can_be_read() -> None:
    names = {case.name for case in read()}

    for row in report.read(report.PAGE.read_text()):
        assert row.workload.split("`")[1] in names
        assert report.median(row.ours) >= 0


def _small(case: Case) -> Case:
    small = {"seconds": 1, "events": EVENTS, "batch": 10, "connections": 2}
    parameters = {key: small.get(key, value) for key, value in (case.parameters or {}).items()}
    return replace(case, parameters=parameters, warm_ups=0, repetitions=1, against=())


def _measured(name: str, ours: float) -> Measured:
    figure = "another ms" if name.startswith("growth") else "ms"
    case = Case(name, "growth", "how it grows", "sqlite", 1, against=("duckdb",))
    samples: dict[str, list[Figures]] = {
        "tree": [{figure: ours}],
        "base": [{figure: 4.0}],
        "duckdb": [{figure: 4.0}],
    }
    return Measured(case, samples, {})


@SLOW
def test_what_we_answer_at_the_edges_is_on_the_page(tmp_path: Path) -> None:
    page = compared.PAGE.read_text()
    for number, edge in enumerate(compared.EDGES):
        if "many" in edge:
            continue
        place = tmp_path / str(number)
        place.mkdir()
        assert compared.table(edge, compared.ours(edge, place)) in page
