"""Blocks that are written to a file are read as they were; a damaged file is never read as something else."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import Block, PackedBlock, arrow, grouped_partials, partials, paths
from cube.expression.nodes import Element, Reduction
from cube.model.event import ABSENT
from cube.model.tier import Tier
from tests.property.columns_reference import Row
from tests.property.test_columns_packed import reductions, rows, tiers
from tests.tools import LONG, examples

PATHS = [("a",), ("a", 0), ("a", 1, "b"), ("a", Element(("b",), "255"), "b"), ("b",), ("b", "c")]
START, HOUR = 1_793_620_800_000, 3_600_000
NAME = ("store", "type", "file")

ODD = [
    *(1, 2.5, -0.0, 0, 255, 256, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, 1e300, 1e-300),
    *(0.1, 123.456, True, False, None, ABSENT, "", "text", "é", "\ud800", "\U0001f600", "1"),
    *([], [1, [2, None]], ["\ud800"], {}, {"z": {"y": [True, 1.5]}}),
]
"""Values that take each way into a file, and out of it."""


def _block(data: list[Any], at: list[Any] | None = None) -> PackedBlock:
    times = np.array([START + number * 1_000 for number in range(len(data))], dtype=np.int64)
    return PackedBlock.of(Block(times, data), PATHS if at is None else at)


def _content(block: PackedBlock) -> arrow.Content:
    return arrow.Content(NAME, START, START + HOUR, {START: 2**40, START + 10_000: 1}, block)


def _told(content: arrow.Content) -> Any:
    """Return all that a file tells, values with their types."""
    block = content.block
    columns = {
        key: (
            column.kinds.tolist(),
            [repr(value) for value in column.values],
            [repr(number) for number in column.numbers.tolist()],
            [(row, repr(column.origins[row])) for row in column.origins.rows.tolist()],
            column.rest if column.origins else (),
            column.whole,
        )
        for key, column in block.packed.items()
    }
    return content.name, content.start, content.stop, dict(content.revisions), block.times.tolist(), columns


@settings(max_examples=examples(70))
@given(st.lists(st.sampled_from(ODD), max_size=12), st.booleans())
def test_every_kind_of_value_comes_back_as_it_was(values: list[Any], in_arrays: bool) -> None:
    data = [
        {} if value is ABSENT else {"a": [value, {"b": value}] if in_arrays else value, "b": {"c": value}}
        for value in values
    ]
    content = _content(_block(data))
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        arrow.write(path, content)
        assert _told(arrow.read(path, NAME, PATHS)) == _told(content)


@settings(max_examples=examples(70))
@given(reductions, tiers, rows)
def test_a_block_from_a_file_is_reduced_as_the_one_that_was_written(
    reduction: Reduction, tier: Tier, rows: list[Row]
) -> None:
    plain = Block(
        np.array([START + 60_000 + row[0] for row in rows], dtype=np.int64), [row[2] for row in rows]
    )
    keys = paths(reduction)
    reduce = partials if reduction.group is None else grouped_partials
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        arrow.write(path, _content(PackedBlock.of(plain, keys)))
        block = arrow.read(path, NAME, keys).block
    if keys <= block.paths:  # what JSON cannot tell is left out
        assert reduce(reduction, tier, block) == reduce(reduction, tier, plain)


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    arrow.write(path, _content(_block([{"a": 1, "b": "x"}, {"a": 2}], [("a",), ("b",)])))
    assert arrow.read(path, NAME, [("b",), ("c",)]).block.paths == {("b",)}


def test_a_file_of_another_name_or_of_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    arrow.write(path, _content(_block([{"a": 1}])))
    with pytest.raises(arrow.DamagedColumns, match="another's"):
        arrow.read(path, ("other store", *NAME[1:]), [])
    with pytest.raises(FileNotFoundError):
        arrow.read(tmp_path / "none", NAME, [])


@pytest.mark.parametrize("seed", range(4 if LONG else 1))
def test_a_damaged_file_is_refused_or_tells_what_it_told(tmp_path: Path, seed: int) -> None:
    """Whatever was changed of it, or cut off: bits, bytes, its end."""
    some = random.Random(seed)
    data = [{"a": some.choice(ODD), "b": number, "c": f"t{number % 5}"} for number in range(50)]
    path, at = tmp_path / "file", [("a",), ("b",), ("c",), ("a", 0)]
    arrow.write(path, _content(_block(data, at)))
    whole, told = path.read_bytes(), _told(arrow.read(path, NAME, at))
    refused = 0
    for _ in range(60):
        path.write_bytes(_damaged(whole, some))
        try:
            assert _told(arrow.read(path, NAME, at)) == told
        except arrow.DamagedColumns:
            refused += 1
    assert refused > 10


def _damaged(whole: bytes, some: random.Random) -> bytes:
    place = some.randrange(len(whole))
    match some.randrange(4):
        case 0:
            return whole[:place]
        case 1:
            return whole[:place] + some.randbytes(8) + whole[place + 8 :]
        case _:
            return whole[:place] + bytes([whole[place] ^ 1 << some.randrange(8)]) + whole[place + 1 :]
