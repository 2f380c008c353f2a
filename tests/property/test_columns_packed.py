"""Packed blocks, cut and joined anyhow, are read as the blocks that they were made of."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import (
    Block,
    Cuts,
    Finals,
    PackedBlock,
    finals,
    finished,
    grouped_partials,
    joined,
    mask,
    partials,
    paths,
)
from cube.columns.column import Column
from cube.columns.segments import Cells, labelled
from cube.columns.sums import exact_sums, exact_totals
from cube.columns.values import Kind, Path
from cube.expression import parse_metric
from cube.expression.nodes import Field, Reduction
from cube.model.event import ABSENT
from cube.model.exact_sums import exact_sum
from cube.model.reduce import REDUCES
from cube.model.tier import TEN_SECONDS, Span, Tier
from tests.property.columns_reference import Row
from tests.property.columns_strategies import (
    comparisons,
    compounds,
    computed_comparisons,
    fields,
    patterns,
    scalars_of_one,
    values,
)
from tests.property.test_columns_reductions import groupings, rows, tiers
from tests.tools import examples

UNORDERED = sorted(name for name, reduce in REDUCES.items() if not reduce.ordered)

reductions = st.builds(
    Reduction,
    reduce=st.sampled_from(UNORDERED),
    type=st.just("t"),
    value=st.one_of(st.none(), fields, fields, values, scalars_of_one),
    filters=st.lists(compounds(st.one_of(comparisons, computed_comparisons, patterns)), max_size=2).map(
        tuple
    ),
    group=st.one_of(st.none(), groupings),
).flatmap(
    lambda one: st.sampled_from([None, 0.3, (0.5, 0, 0.9)] if one.reduce == "quantile" else [None]).map(
        lambda argument: replace(one, argument=argument)
    )
)


@settings(max_examples=examples(500))
@given(reductions, tiers, rows, st.lists(st.integers(0, 25), max_size=3), st.booleans())
def test_a_packed_block_is_reduced_as_the_block_it_was_made_of(
    reduction: Reduction, tier: Tier, rows: list[Row], cuts: list[int], as_read: bool
) -> None:
    plain = Block(np.array([row[0] for row in rows], dtype=np.int64), [row[2] for row in rows])
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    keys = paths(reduction)
    blocks = [plain.rows(start, stop) for start, stop in pairwise(edges)]
    parts = [PackedBlock.of(_as_read(block, keys) if as_read else block, keys) for block in blocks]
    packed = joined(parts) if parts else PackedBlock.of(plain, keys)

    reduce = partials if reduction.group is None else grouped_partials

    assert reduce(reduction, tier, packed) == reduce(reduction, tier, plain)
    _check_finals(reduction, tier, packed)
    middle = len(rows) // 2
    assert reduce(reduction, tier, packed.rows(middle, len(rows))) == reduce(
        reduction, tier, plain.rows(middle, len(rows))
    )


def _as_read(block: Block, keys: Iterable[Path]) -> Block:
    """Return a block as a store reads it; dates, which JSON has not, leave it as it is."""
    try:
        texts = [None if data is ABSENT else json.dumps(data) for data in block.data]
    except TypeError:
        return block
    return Block.from_json(block.times.tolist(), texts, fields=sorted({str(path[0]) for path in keys}))


@pytest.mark.parametrize("others", [[{"t": [5]}], [{"t": [5]}, 7], [7, [{"t": [1, 2]}]]])
def test_arrays_are_found_whatever_data_stand_in_the_blocks_that_are_joined(others: list[Any]) -> None:
    """A block in which some data are no objects keeps whole data, and others one property of them."""
    reduction = parse_metric("count(t.le(t[0], 9).exists(n.q[1]))")
    assert isinstance(reduction, Reduction)
    some = [{"t": [5, 6], "n": {"q": [0, [1]]}}, {"t": [50]}]
    keys = paths(reduction)
    for first, second in ((some, others), (others, some)):
        parts = [
            PackedBlock.of(_as_read(Block(np.arange(len(data)), data), keys), keys)
            for data in (first, second)
        ]
        plain = Block(np.concatenate([part.times for part in parts]), [*first, *second])
        assert mask(reduction.filters, joined(parts)).tolist() == mask(reduction.filters, plain).tolist()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1, 2.5, -0.0],
        [1, 2**53 - 1, -(2**53) + 1],
        [1, 2**53],
        [2**53 + 1, 2**53, 2.0**53],
        [1.5, 10**400],
        [1, True],
        [True, False],
        ["a", "b", "a", ""],
        ["1", 1],
        ["a", None],
        [1.0, ABSENT],
        [datetime(2026, 1, 1, tzinfo=UTC), 1],
        [1e300, 5],
    ],
)
def test_columns_of_one_kind_and_of_others_are_packed_as_they_are(values: list[Any]) -> None:
    data = [{} if value is ABSENT else {"v": value} for value in values]

    packed = PackedBlock.of(Block(np.arange(len(values)), data), [("v",)]).packed["stored", ("v",)]
    plain = Column(values)

    assert list(packed.values) == values
    assert packed.kinds.tolist() == plain.kinds.tolist()
    np.testing.assert_array_equal(packed.numbers, plain.numbers)
    rows = np.flatnonzero(plain.kinds == Kind.STRING)
    codes, texts = packed.text_codes(rows)
    assert [texts[code] for code in codes.tolist()] == [values[row] for row in rows.tolist()]


def _check_finals(reduction: Reduction, tier: Tier, block: PackedBlock) -> None:
    """The values of whole buckets are what their partials are finished to, and of others there are partials.

    Whole are all but the outermost ones, and these where the block is known to have all of their events.
    """
    states: dict[int, dict[Any, Any]] = {
        bucket: {None: state} if reduction.group is None else state
        for bucket, state in (partials if reduction.group is None else grouped_partials)(
            reduction, tier, block
        ).items()
    }
    outer = {*sorted(states)[:1], *sorted(states)[-1:]}
    _check_whole(reduction, states, finals(reduction, tier, block), outer)
    if states and (np.diff(block.times) >= 0).all():
        first, last = int(block.times[0]), int(block.times[-1]) + 1
        for start in {first, tier.floor(first)}:
            for stop in {last, tier.ceil(last), tier.ceil(last) + 1}:
                whole = {bucket for bucket in states if start <= bucket <= stop - tier.step}
                known = block.over(Span(start, stop))
                _check_whole(reduction, states, finals(reduction, tier, known), states.keys() - whole)
                cuts = Cuts.of([Span(bucket, bucket + tier.step) for bucket in sorted(states)])
                _check_whole(reduction, states, finals(reduction, cuts, known), states.keys() - whole)


def _check_whole(
    reduction: Reduction, states: dict[int, dict[Any, Any]], found: Finals, outer: Collection[int]
) -> None:
    assert found.shared == {bucket: states[bucket] for bucket in outer}
    assert list(found.buckets) == sorted(found.buckets)
    expected = {
        (bucket, group): value
        for bucket, state in states.items()
        if bucket not in outer
        for group, value in finished(reduction, state)
    }
    values = [None if math.isnan(value) else value for value in found.values.tolist()]
    pairs = zip(found.buckets.tolist(), found.groups, strict=True)
    assert dict(zip(pairs, values, strict=True)) == expected


@settings(max_examples=examples(300))
@given(st.data())
def test_many_floats_add_up_exactly(data: st.DataObject) -> None:
    """Whatever their sizes, in whatever runs."""
    floats = st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(-1e6, 1e6),
        st.integers(-(2**53), 2**53).map(float),
        st.decimals(-1000, 1000, places=3).map(float),
    )
    size = data.draw(st.integers(64, 300))
    some = data.draw(st.lists(floats, min_size=1, max_size=20))
    values = np.resize(np.array(some), size)
    edges = np.array(sorted({0, *data.draw(st.lists(st.integers(1, size - 1), max_size=9))}))

    runs = np.split(values, edges[1:])
    high, low = exact_sums(values, edges)
    assert list(zip(high.tolist(), low.tolist(), strict=True)) == [exact_sum(run.tolist()) for run in runs]
    order = np.random.default_rng(size).permutation(size)
    lengths = np.diff(edges, append=size)
    owners = np.repeat(np.arange(len(edges)), lengths) * 2  # every second cell has no values
    table = Cells(owners[order], 2 * len(edges), 2 * np.arange(len(edges)), lengths)
    totals = exact_totals(values[order], table)
    assert totals is None or totals.tolist() == (high + low).tolist()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(-1e9, 1e9)), min_size=1, max_size=60),
    st.floats(0, 1),
    st.integers(1, 400),
)
def test_quantiles_of_few_and_of_many_values_are_those_of_tallies(
    samples: list[tuple[int, float]], q: float, times: int
) -> None:
    """However many are sorted at once."""
    samples = sorted(samples * times, key=lambda sample: sample[0])
    rows = [(bucket * TEN_SECONDS.step, {"v": value}) for bucket, value in samples]
    field = Field(("v",))
    reduction = Reduction("quantile", "t", field, (), argument=q)
    block = PackedBlock.of(Block(np.array([time for time, _ in rows]), [data for _, data in rows]), [("v",)])
    _check_finals(reduction, TEN_SECONDS, block)


@pytest.mark.parametrize("padded", [0, 4, 10**6])
@pytest.mark.parametrize("cells", [0, 2**20])
@pytest.mark.parametrize("lengths", [[5] * 9, [1, 40, 2, 7, 1, 1, 3], [300, 301, 300, 299, 300], [1, 600, 2]])
@pytest.mark.parametrize("reduce", ["median", "distinct"])
def test_values_are_the_same_however_segments_are_sorted(
    monkeypatch: pytest.MonkeyPatch, reduce: str, lengths: list[int], cells: int, padded: int
) -> None:
    """As rows of a table, all at once, or one by one."""
    module = sys.modules["cube.columns.finals"]  # the package has the function under this name
    monkeypatch.setattr(module, "_PADDED_CELLS", padded)
    monkeypatch.setattr(module, "_TABLE_CELLS", cells)
    random = Random(reduce)
    times = [1_000 * TEN_SECONDS.step + n for n in range(3)]
    for number, length in enumerate(lengths, start=1_001):
        times += [number * TEN_SECONDS.step + n for n in range(length)]
    times.append(2_000 * TEN_SECONDS.step)
    rows = [
        {"v": random.choice([random.randrange(9), random.random()]), "s": str(n % 99)}
        for n in range(len(times))
    ]
    random.shuffle(rows)
    block = PackedBlock.of(Block(np.array(times), rows), [("v",), ("s",)])
    for name in ("v", "s") if reduce == "distinct" else ("v",):
        _check_finals(Reduction(reduce, "t", Field((name,)), ()), TEN_SECONDS, block)


@pytest.mark.parametrize("cells_a_row", [0, 4])
@pytest.mark.parametrize("reduce", ["sum", "mean", "count"])
@pytest.mark.parametrize("numbers", [[0.1, -7.25, 3e9, 0.0], [1e300, -1e300, 1e-300, 0.1], [1e308, 1.5e308]])
@pytest.mark.parametrize("group", ["g", "each(tags)", "g, floor(v / 100)", 'missing, "none"'])
def test_values_of_groups_are_the_same_in_a_table_and_in_order(
    monkeypatch: pytest.MonkeyPatch, group: str, numbers: list[float], reduce: str, cells_a_row: int
) -> None:
    """Rows are put in order of bucket and group only where the table would be large."""
    monkeypatch.setattr("cube.columns.segments._CELLS_A_ROW", cells_a_row)
    random = Random(reduce)
    times = np.arange(400) * 200 + 3 * TEN_SECONDS.step
    data = [
        {"v": random.choice(numbers), "g": random.choice("abc"), "tags": random.sample("xyz", n % 4)}
        for n in range(len(times))
    ]
    block = PackedBlock.of(Block(times, data), [("v",), ("g",), ("tags",), ("missing",)])
    reduction = parse_metric(f"{reduce}(t(v)).group({group})")
    assert isinstance(reduction, Reduction)
    found = labelled(reduction, TEN_SECONDS, block)
    assert found is not None
    assert (found.cells() is not None) == bool(cells_a_row)
    _check_finals(reduction, TEN_SECONDS, block)
