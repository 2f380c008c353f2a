"""Reads ``workloads.toml``: what is measured, as cases that each give some rows of the table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmark.questions import Question

TABLE = Path(__file__).with_name("workloads.toml")
QUICK_EVENTS = 10_000
_OF_CASES = ("kind", "title", "wanted", "against", "stores", "on_request", "quick", "warm_ups", "repetitions")
_COMMON = {*_OF_CASES, "question", "questions", "sizes"}
QUICK_AGAINST = ("duckdb", "healthz")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: a workload on one store, with one of its questions or sizes."""

    name: str
    kind: str
    title: str
    store: str
    repetitions: int
    warm_ups: int = 1
    against: tuple[str, ...] = ()
    wanted: str = ""
    on_request: bool = False
    in_quick: bool = False
    question: Question | None = None
    parameters: Mapping[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        """Return a parameter."""
        return (self.parameters or {})[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a parameter, or a default."""
        return (self.parameters or {}).get(key, default)

    @property
    def workload(self) -> str:
        """The name without the question or size."""
        return self.name.partition(" ")[0]

    @property
    def asked(self) -> Question:
        """The question, of a kind that has one."""
        assert self.question is not None
        return self.question

    def quick(self) -> Case:
        """Return the same thing, small enough to see in a second or two that it works."""
        parameters = dict(self.parameters or {})
        for key, most in {
            "events": QUICK_EVENTS,
            "seconds": 2,
            "offered": 1_000,
            "settle_seconds": 1,
            "charts": 10,
        }.items():
            if key in parameters:
                parameters[key] = min(parameters[key], most)
        return replace(self, parameters=parameters, repetitions=min(self.repetitions, 2))


def read(path: Path = TABLE) -> list[Case]:
    """Return all cases; raises `KeyError` or `TypeError` where the table is wrong."""
    table = tomllib.loads(path.read_text())
    questions = {name: _question(facts) for name, facts in table["questions"].items()}
    return [
        case
        for name, facts in table["workloads"].items()
        for store in facts.get("stores", ["sqlite"])
        for case in _cases(name, store, facts, questions)
    ]


def chosen(cases: list[Case], names: list[str], quick: bool) -> list[Case]:
    """Return the cases whose names contain one of `names`; without any all but those on request.

    Quick: small, and the first case alone of each workload that is named; without names, of those that are
    marked so, beside `QUICK_AGAINST` alone.
    """
    if names:
        cases = [case for case in cases if any(_means(name, case, cases) for name in names)]
    else:
        cases = [case for case in cases if not case.on_request]
    if not quick:
        return cases
    firsts = {case.workload: case for case in reversed(cases) if names or case.in_quick}
    small = [case.quick() for case in cases if firsts.get(case.workload) is case]
    if names:
        return small
    return [
        replace(case, against=tuple(name for name in case.against if name in QUICK_AGAINST)) for case in small
    ]


def _means(name: str, case: Case, cases: list[Case]) -> bool:
    """Tell whether a name means a case: a whole workload's that one alone, else all that contain it."""
    if any(name in (one.name, one.workload) for one in cases):
        return name in (case.name, case.workload)
    return name in case.name


def _cases(name: str, store: str, facts: dict[str, Any], questions: dict[str, Question]) -> Iterator[Case]:
    parameters = {key: value for key, value in facts.items() if key not in _COMMON}
    stem = name if store == "sqlite" else f"{name.removesuffix('-' + store)}-{store}"
    whole = Case(
        name=stem,
        kind=facts["kind"],
        title=facts["title"] + (f", {_STORES[store]}" if store != "sqlite" and store not in name else ""),
        store=store,
        repetitions=facts["repetitions"],
        warm_ups=facts.get("warm_ups", 1),
        against=tuple(facts.get("against", ())),
        wanted=facts.get("wanted", ""),
        on_request=facts.get("on_request", False),
        in_quick=store in facts.get("quick", ()),
        question=questions[facts["question"]] if "question" in facts else None,
        parameters=parameters,
    )
    if "questions" in facts:
        for one in facts["questions"]:
            yield replace(whole, name=f"{stem} {one}", title=f"{whole.title}: {one}", question=questions[one])
    elif "sizes" in facts:
        for size in facts["sizes"]:
            yield replace(whole, name=f"{stem} {size}", parameters={**parameters, "events": size})
    else:
        yield whole


_STORES = {"mongodb": "MongoDB", "null": "a MongoDB that does nothing"}


def _question(facts: dict[str, Any]) -> Question:
    return Question(**{**facts, "filters": tuple(tuple(one) for one in facts.get("filters", ()))})
