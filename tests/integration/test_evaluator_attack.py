"""Random questions of several evaluators, bucket by bucket against the plain definitions, whatever happens.

Between them events are saved, late ones and ones in the place of others, files are made, damaged and deleted,
memory is short, and evaluators are restarted. Short in `make test`, long under ``CUBE_TEST_LONG``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cube.expression import parse_metric
from cube.model.event import Event
from cube.model.tier import TIERS, Span, Tier, group_of_key
from cube.store.ports import Store
from cube.store.sqlite import open_store
from tests.evaluator_running import plain
from tests.golden.reference import ALL, Reference
from tests.integration.test_evaluator_column_files import Evaluator
from tests.tools import LONG

WEEK, HOUR = 604_800_000, 3_600_000
BEGIN = 1_793_620_800_000 - (1_793_620_800_000 - 345_600_000) % WEEK - 2 * HOUR
"""Two hours before a week begins."""

TYPES, FIELDS = ("aa", "bb"), ("x", "g", "n.p", "n.q[0]", "t", "t[0]", "x.z", "zz")
LITERALS = ("1", "0", "-3.5", '"a"', "true", "null", "9007199254740993", "1e16")
REDUCES = ["sum", "count", "min", "max", "mean", "variance", "median", "distinct", "first", "last"]
STEPS = 200 if LONG else 50


class Attack:
    """A store, what it should hold, and two evaluators on one folder of column files."""

    def __init__(self, store: Store, threads: ThreadPoolExecutor, folder: Path, random: Random) -> None:
        self.store, self._threads, self._folder, self._random = store, threads, folder, random
        self._reference = Reference()
        self._asked = [self._expression() for _ in range(25)]
        self.evaluators = [self._started(), self._started()]

    async def step(self) -> None:
        """Do one thing; raises AssertionError where an answer is wrong."""
        action = self._random.choices(
            (self._save, self._ask, self._look, self._restart, self._spoil), (4, 8, 2, 1, 1)
        )
        await action[0]()

    async def close(self) -> None:
        for evaluator in self.evaluators:
            await evaluator.pyramid.close()

    def _started(self) -> Evaluator:
        memory = self._random.choice((10**7, 10**5, 3_000))
        return Evaluator(self.store, self._threads, self._folder, memory=memory)

    async def _save(self) -> None:
        ids = (self._random.choice((number, f"{self._random.random()}")) for number in range(100))
        count = self._random.choice((1, 3, 60))
        events = [
            Event(self._random.choice(TYPES), self._time(), id, self._data())
            for id in [next(ids) for _ in range(count)]
        ]
        for type in TYPES:
            await self.store.events.save(type, [event for event in events if event.type == type])
        self._reference.save(events)

    async def _look(self) -> None:
        await self._random.choice(self.evaluators).idle.look()

    async def _restart(self) -> None:
        place = self._random.randrange(2)
        await self.evaluators[place].pyramid.close()
        self.evaluators[place] = self._started()

    async def _spoil(self) -> None:
        """Delete a file, or change some byte of it, or cut it."""
        files = sorted(self._folder.rglob("*.arrow"))
        if files:
            path = self._random.choice(files)
            text = path.read_bytes()
            place = self._random.randrange(len(text) + 1)
            match self._random.randrange(3):
                case 0:
                    path.unlink()
                case 1:
                    path.write_bytes(text[:place] + b"\x55" + text[place + 1 :])
                case _:
                    path.write_bytes(text[:place])

    async def _ask(self) -> None:
        text, tier = self._random.choice(self._asked), self._random.choice(list(TIERS.values()))
        start = tier.floor(self._time())
        span = Span(start, start + tier.step * self._random.randint(1, 90 if tier.step < HOUR else 3))
        expected = self._reference.evaluate(parse_metric(text), tier, span)
        series = await self._random.choice(self.evaluators).series(text, tier.step, span.start, span.stop)
        if series.groups is None:
            found, wanted = {"": plain(series.default)}, {"": expected[ALL]}
        else:
            found = {json.dumps(group_of_key(key)): plain(values) for key, values in series.groups.items()}
            wanted = {
                json.dumps(group_of_key(key)): values for key, values in expected.items() if key is not ALL
            }
        _compare((text, tier.name, span), tier, span, found, wanted)

    def _time(self) -> int:
        near = (
            self._random.randrange(25_000)
            if self._random.random() < 0.3
            else self._random.randrange(4 * HOUR)
        )
        return BEGIN + self._random.choice((0, 2 * HOUR, 2 * HOUR - 12_000)) + near

    def _group(self) -> Any:
        """No booleans: the reference takes true for 1, as Python does."""
        kinds: list[Callable[[], Any]] = [
            lambda: self._random.randrange(-5, 50),
            lambda: round(self._random.random() * 100, 2),
            lambda: self._random.choice(["a", "b", "é", "1", ""]),
            lambda: None,
            lambda: 2**53 + self._random.randrange(3),
            lambda: [self._random.randrange(5), "a"],
            lambda: {"z": self._random.randrange(9)},
            list,
        ]
        return self._random.choice(kinds)()

    def _leaf(self) -> Any:
        return self._random.random() < 0.5 if self._random.random() < 0.2 else self._group()

    def _data(self) -> Any:
        data = {"x": self._random.randrange(50) if self._random.random() < 0.6 else self._group()}
        if self._random.random() < 0.8:
            data["g"] = self._random.choice("abc") if self._random.random() < 0.7 else self._group()
        if self._random.random() < 0.5:
            data["n"] = {"p": self._leaf(), "q": [self._leaf(), {"r": self._leaf()}]}
        if self._random.random() < 0.3:
            data["t"] = [self._leaf() for _ in range(self._random.randrange(3))]
        return data if self._random.random() < 0.95 else self._leaf()

    def _expression(self) -> str:
        value = self._random.choice(("", f"({self._random.choice(FIELDS)})", "(x * 2 - n.p)"))
        filters = "".join(self._filter() for _ in range(self._random.choice((0, 0, 1, 2))))
        group = self._random.choice((".group(g)", ".group(x)", "", "", ""))
        return f"{self._random.choice(REDUCES)}({self._random.choice(TYPES)}{value}{filters}){group}"

    def _filter(self) -> str:
        field, literal = self._random.choice(FIELDS), self._random.choice(LITERALS)
        return self._random.choice((
            f".{self._random.choice(('eq', 'ne', 'lt', 'ge'))}({field}, {literal})",
            f".in({field}, [{literal}, 2])", f".exists({field})", f'.re({field}, "a|1")',
        ))  # fmt: skip


def _compare(asked: Any, tier: Tier, span: Span, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys(), asked
    for key, values in wanted.items():
        for bucket, one, other in zip(tier.buckets(span), values, found[key], strict=True):
            assert other == (one if one is None else pytest.approx(one, rel=1e-9, abs=1e-9)), (
                asked,
                key,
                bucket,
            )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(2 if LONG else 1))
async def test_no_answer_is_ever_another_than_the_plain_one(tmp_path: Path, seed: int) -> None:
    store = await open_store(tmp_path, "attack")
    with ThreadPoolExecutor(2) as threads:
        attack = Attack(store, threads, tmp_path / "blocks", Random(seed))
        for _ in range(STEPS):
            await attack.step()
        await attack.close()
    await store.close()
