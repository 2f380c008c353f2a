"""What columns take is given back at once: no cycle of references has it wait for the collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cube.columns import Block, PackedBlock, arrow, finals, paths, states
from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.tier import MINUTE

ROWS = 600


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have nothing freed but by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "text",
    [
        "sum(a(b).eq(c, 'd1'))",
        "median(a(b).re(c, 'd'))",
        "distinct(a(combine(c, e)).ne(d, null))",
        "mean(a(if(eq(c, 'd1'), b, 0)).gt(b, 1)).group(upper(c))",
        "count(a(c).eq(f, 1)).group(each(f))",
    ],
)
def test_the_arrays_of_a_block_go_with_its_last_reference(text: str, uncollected: None) -> None:
    reduction = parse_metric(text)
    assert isinstance(reduction, Reduction)
    times = np.arange(ROWS, dtype=np.int64) * 1_000
    data = [
        {"b": row % 7, "c": f"d{row % 3}", "d": None, "e": row % 5, "f": [row % 2]} for row in range(ROWS)
    ]
    block = PackedBlock.of(Block(times, data), paths(reduction))
    finals(reduction, MINUTE, block)
    states(reduction, MINUTE, block)
    list(next(iter(block.packed.values())).values[:3])
    held = [weakref.ref(column) for column in block.packed.values()]

    del block

    assert [each() for each in held] == [None] * len(held)


def test_what_arrow_was_read_for_goes_with_its_last_reference(tmp_path: Path, uncollected: None) -> None:
    times = np.arange(ROWS, dtype=np.int64) * 1_000
    block = PackedBlock.of(Block(times, [{"b": row} for row in range(ROWS)]), [("b",)])
    content = arrow.Content(("x",), 0, ROWS * 1_000, {0: 1}, block)
    arrow.write(tmp_path / "x.arrow", content)
    found = arrow.read(tmp_path / "x.arrow", ("x",), [("b",)])
    held = weakref.ref(found.block.packed["stored", ("b",)])

    del found

    assert held() is None
