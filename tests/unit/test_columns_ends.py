"""Medians of buckets that reach over the end of a block: the values of both parts, in no order yet."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cube.columns import Block, finals
from cube.columns.tallies import Tally
from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, quantile
from cube.model.tier import Tier

ROWS = 1_000
TIER = Tier("all", ROWS, 0, None, cached=False)


@pytest.mark.parametrize("kinds", [3, 10**6])
@pytest.mark.parametrize("cut", [1, 300, 700])
def test_quantiles_of_two_blocks_are_those_of_all_values(kinds: int, cut: int) -> None:
    draw = random.Random(cut)
    values = [float(draw.randrange(-kinds, kinds)) * draw.choice([1, -0.0, 1]) for _ in range(ROWS)]
    reduction = parse_metric("quantile(0.95, t(v))")
    assert isinstance(reduction, Reduction)

    parts = [
        finals(reduction, TIER, _block(times, values)).shared[0][None]
        for times in (range(cut), range(cut, ROWS))
    ]
    merged = REDUCES["quantile"].merge(parts)

    plain: dict[float, int] = {}
    for value in values:
        plain[value + 0.0] = plain.get(value + 0.0, 0) + 1
    assert isinstance(merged, Tally)
    assert REDUCES["quantile"].finish(merged, 0.95) == quantile(plain, 0.95)
    assert merged == plain
    assert [str(value) for value in merged if value == 0] in ([], ["0.0"])


def _block(times: range, values: list[float]) -> Block:
    return Block(np.array(times, dtype=np.int64), [{"v": values[time]} for time in times])
