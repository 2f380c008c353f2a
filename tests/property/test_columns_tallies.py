"""Tallies as arrays are the plain ones: merged, finished, written and read alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.columns import tallies as tallies_module
from cube.columns.tallies import Tally
from cube.model.reduce import REDUCES, quantile

MEDIAN = REDUCES["median"]

numbers = st.one_of(st.sampled_from([0.0, 1.0, 2.5, -3.0]), st.floats(-1e300, 1e300))
counts = st.one_of(st.integers(1, 3), st.sampled_from([127, 128, 2**32 - 1, 2**32, 2**40]))
tallies = st.dictionaries(numbers, counts, min_size=1, max_size=20)


@given(st.lists(tallies, min_size=1, max_size=5), st.floats(0, 1), st.integers(0, 5))
def test_they_merge_and_finish_as_plain_ones_do(
    parts: list[dict[float, int]], q: float, plain_ones: int
) -> None:
    plain = MEDIAN.merge(parts)
    packed = [part if place < plain_ones else Tally.of(part) for place, part in enumerate(parts)]

    merged = MEDIAN.merge(packed)

    assert merged == plain
    assert MEDIAN.finish(merged, q) == MEDIAN.finish(plain, q)
    assert Tally.of(plain).quantile(q) == quantile(plain, q)


loose_values = st.lists(st.floats(-1e300, 1e300).map(lambda value: value + 0.0), min_size=1, max_size=20)


@given(
    st.lists(st.tuples(loose_values, st.sampled_from([dict, Tally.of, None])), min_size=1, max_size=5),
    st.floats(0, 1),
    st.sampled_from([3, 10, 2**17]),
)
def test_those_whose_values_are_in_no_order_yet_are_the_same(
    parts: list[tuple[list[float], Callable[[Any], Any] | None]], q: float, most: int
) -> None:
    plain = MEDIAN.merge([Counter(values) for values, _ in parts])
    with patch.object(tallies_module, "_MOST_UNSORTED", most):
        merged = MEDIAN.merge(
            [
                Tally.unsorted(np.array(values)) if make is None else make(Counter(values))
                for values, make in parts
            ]
        )

        assert MEDIAN.finish(merged, q) == MEDIAN.finish(plain, q)
        assert merged == plain
        assert MEDIAN.finish(merged, q) == MEDIAN.finish(plain, q)  # now that it has been put in order


@given(tallies)
def test_they_are_written_as_plain_ones_are_read(plain: dict[float, int]) -> None:
    tally = Tally.of(plain)

    assert msgspec.msgpack.decode(tally.packed(), type=dict[float, int]) == plain
    assert Tally.unpacked(tally.packed()) == plain


@given(tallies)
def test_plain_ones_are_read_whatever_their_order(plain: dict[float, int]) -> None:
    tally = Tally.unpacked(msgspec.msgpack.encode(plain))

    assert tally == plain
    assert list(tally) == sorted(plain)
    assert all(tally[value] == count for value, count in plain.items())


@pytest.mark.parametrize("entries", [0, 15, 16, 2**16 - 1, 2**16])
def test_long_ones_are_read(entries: int) -> None:
    plain = {float(number): 1 + number % 3 for number in range(entries)}

    assert Tally.unpacked(msgspec.msgpack.encode(plain)) == plain
    assert Tally.of(plain).packed() == msgspec.msgpack.encode(plain)


@pytest.mark.parametrize("content", [b"", b"\x93\x01\x02\x03", b"\x81\xcb"])
def test_what_is_no_tally_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Tally.unpacked(content)
