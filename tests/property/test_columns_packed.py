"""Packed blocks, cut and joined anyhow, are read as the blocks that they were made of."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import Block, PackedBlock, grouped_partials, joined, partials, paths
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import Tier
from tests.property.columns_reference import Row
from tests.property.columns_strategies import comparisons, compounds, fields, patterns, values
from tests.property.test_columns_reductions import rows, tiers
from tests.tools import examples

UNORDERED = sorted(name for name, reduce in REDUCES.items() if not reduce.ordered)

reductions = st.builds(
    Reduction,
    reduce=st.sampled_from(UNORDERED),
    type=st.just("t"),
    value=st.one_of(st.none(), fields, fields, values),
    filters=st.lists(compounds(st.one_of(comparisons, comparisons, patterns)), max_size=2).map(tuple),
    group=st.one_of(st.none(), fields),
)


@settings(max_examples=examples(500))
@given(reductions, tiers, rows, st.lists(st.integers(0, 25), max_size=3))
def test_a_packed_block_is_reduced_as_the_block_it_was_made_of(
    reduction: Reduction, tier: Tier, rows: list[Row], cuts: list[int]
) -> None:
    plain = Block(np.array([row[0] for row in rows], dtype=np.int64), [row[2] for row in rows])
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    keys = paths(reduction)
    parts = [PackedBlock.of(plain.rows(start, stop), keys) for start, stop in pairwise(edges)]
    packed = joined(parts) if parts else PackedBlock.of(plain, keys)

    reduce = partials if reduction.group is None else grouped_partials

    assert reduce(reduction, tier, packed) == reduce(reduction, tier, plain)
    middle = len(rows) // 2
    assert reduce(reduction, tier, packed.rows(middle, len(rows))) == reduce(
        reduction, tier, plain.rows(middle, len(rows))
    )
