"""The promise of the cache, under random interleavings of writers, readers, crashes and expiries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cube.store.mongo import calls
from tests.mongo_server import MongoServer, mongo_server
from tests.promise.asked import IDS, STEPS, TIMES, Asked
from tests.promise.model import MAX_VERSIONS
from tests.promise.places import MongoPlace, Place, SqlitePlace
from tests.promise.world import COLLECTORS, EVALUATORS, World
from tests.tools import LONG, examples

__all__ = ["mongo_server"]

PICKS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(TIMES)), min_size=1, max_size=3)
STEP = st.sampled_from(STEPS)
ASKED = st.builds(
    Asked,
    STEP,
    st.sampled_from(TIMES),
    before=st.integers(0, 2),
    after=st.integers(1, 3),
    function=st.sampled_from(("", "", "shift", "rolling", "top", "top")),
)
HOW_FAR = st.one_of(st.integers(1, 8), st.just(10_000))
KIND = st.sampled_from((None, 0, 1))
EDGES = st.tuples(*[st.sampled_from((*TIMES, TIMES[-1] + 1))] * 2)
EVALUATOR = st.integers(0, EVALUATORS - 1)


class PromiseMachine(RuleBasedStateMachine):
    """Whose step is next, and what it is, is hypothesis' choice."""

    def __init__(self, make: Callable[[], Place], compared: Sequence[int] = TIMES) -> None:
        super().__init__()
        self.world = World(make, files=True)
        self._compared = compared

    @initialize(batches=st.lists(st.tuples(PICKS, STEP), min_size=2, max_size=5))
    def begin_with_some_history(self, batches: list[tuple[list[tuple[str, int]], int]]) -> None:
        for picks, step in batches:
            self.save_and_ask(picks, step)

    # Writers.

    @rule(collector=st.integers(0, COLLECTORS - 1), picks=PICKS)
    def begin_a_save(self, collector: int, picks: list[tuple[str, int]]) -> None:
        self.world.begin_save(collector, picks)

    @rule(collector=st.integers(0, COLLECTORS - 1), kind=KIND, times=EDGES)
    def begin_a_deletion(self, collector: int, kind: int | None, times: tuple[int, int]) -> None:
        self.world.begin_removal(collector, kind, *sorted(times))

    @rule(kind=KIND, times=EDGES, asked=ASKED, steps=HOW_FAR)
    def delete_and_ask(self, kind: int | None, times: tuple[int, int], asked: Asked, steps: int) -> None:
        removal = self.world.begin_removal(self.world.model.versions % COLLECTORS, kind, *sorted(times))
        if removal is not None:
            self.world.drive(removal, steps)
            self.world.ask(0, asked)

    @precondition(lambda self: self.world.saves)
    @rule(data=st.data(), steps=HOW_FAR)
    def let_a_writer_on(self, data: st.DataObject, steps: int) -> None:
        self.world.drive(self.world.saves[data.draw(st.integers(0, len(self.world.saves) - 1))], steps)

    @rule(picks=PICKS, step=STEP)
    def save_and_ask(self, picks: list[tuple[str, int]], step: int) -> None:
        save = self.world.begin_save(self.world.model.versions % COLLECTORS, picks)
        if save is not None:
            self.world.drive(save)
            self.world.ask(self.world.model.versions % 3 % 2, Asked(step, picks[0][1]))

    @rule(picks=PICKS, step=STEP, fatal_step=st.integers(1, 30))
    def save_and_ask_between_its_steps(
        self, picks: list[tuple[str, int]], step: int, fatal_step: int
    ) -> None:
        """Ask before, after and between all steps of a save, whose writer may die at one of them."""
        save = self.world.begin_save(self.world.model.versions % COLLECTORS, picks)
        if save is None:
            return
        for number in range(1, 100):
            self.world.ask(number % 2, Asked(step, picks[0][1]))
            if number == fatal_step:
                self.world.kill(save)
                break
            self.world.drive(save, 1)
            if save not in self.world.saves:
                break
        self.world.sweep()
        self.world.ask(0, Asked(step, picks[0][1]))

    @precondition(lambda self: self.world.saves)
    @rule(data=st.data())
    def kill_a_writer(self, data: st.DataObject) -> None:
        self.world.kill(self.world.saves[data.draw(st.integers(0, len(self.world.saves) - 1))])

    @rule()
    def sweep_if_nobody_writes(self) -> None:
        self.world.sweep()

    @precondition(lambda self: self.world.is_quiet and self.world.model.versions > MAX_VERSIONS // 3)
    @rule(before=st.sampled_from(TIMES))
    def expire(self, before: int) -> None:
        self.world.expire(before)

    @precondition(lambda self: self.world.is_quiet and self.world.expired_before is not None)
    @rule(before=st.sampled_from(TIMES))
    def delete_events(self, before: int) -> None:
        self.world.delete_events(before)

    @precondition(lambda self: self.world.is_quiet and self.world.expired_before is not None)
    @rule(before=st.sampled_from(TIMES), with_metrics=st.booleans())
    def forget(self, before: int, with_metrics: bool) -> None:
        self.world.forget(before, with_metrics=with_metrics)

    # Readers.

    @rule(evaluator=EVALUATOR, asked=ASKED)
    def begin_a_question(self, evaluator: int, asked: Asked) -> None:
        self.world.begin_question(evaluator, asked)

    @rule(evaluator=EVALUATOR, several=st.lists(ASKED, min_size=2, max_size=4), steps=st.integers(1, 8))
    def begin_questions_of_one_moment(self, evaluator: int, several: list[Asked], steps: int) -> None:
        """As the charts of one page do: they share what they have in common."""
        for asked in several:
            question = self.world.begin_question(evaluator, asked)
            if question is not None:
                self.world.let_on(question.actor, steps)

    @precondition(lambda self: self.world.readers)
    @rule(data=st.data(), steps=HOW_FAR)
    def let_a_reader_on(self, data: st.DataObject, steps: int) -> None:
        readers = self.world.readers
        self.world.let_on(readers[data.draw(st.integers(0, len(readers) - 1))], steps)

    @precondition(lambda self: self.world.questions)
    @rule(data=st.data())
    def let_a_client_go_away(self, data: st.DataObject) -> None:
        questions = self.world.questions
        self.world.cancel(questions[data.draw(st.integers(0, len(questions) - 1))])

    @rule(evaluator=EVALUATOR, asked=ASKED)
    def ask_at_once(self, evaluator: int, asked: Asked) -> None:
        self.world.ask(evaluator, asked)

    # What the first evaluator saves in the background, and its column files.

    @rule()
    def save_what_was_computed(self) -> None:
        self.world.flush()

    @rule(time=st.sampled_from(TIMES))
    def begin_to_make_files(self, time: int) -> None:
        self.world.shred(time)

    @rule(kept_bytes=st.sampled_from((10**7, 2_000)), asked=ASKED)
    def restart_and_ask(self, kept_bytes: int, asked: Asked) -> None:
        self.world.restart(kept_bytes)
        self.world.ask(0, asked)

    # The end: everybody living finishes, the dead are swept, and every answer is what is stored.

    def teardown(self) -> None:
        self.world.end(self._compared)


def _run(machine: Callable[[], PromiseMachine], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(300)
def test_no_interleaving_on_sqlite_yields_a_stale_metric() -> None:
    _run(lambda: PromiseMachine(SqlitePlace), examples=examples(25), steps=40)


@pytest.mark.timeout(300)
def test_no_interleaving_on_mongodb_yields_a_stale_metric(
    mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A killed actor stands at its gate for good: no timeout of the store's may wake it.
    monkeypatch.setattr(calls, "OPERATION_SECONDS", 1e6)
    _run(
        lambda: PromiseMachine(lambda: MongoPlace(mongo_server), TIMES[::3]),
        examples=4 if LONG else 2,
        steps=15,
    )
