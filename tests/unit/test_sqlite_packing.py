"""The form of a chunk, and statements of many rows."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.tier import CACHED_TIERS
from cube.store.metric_ports import CachedBucket
from cube.store.sqlite import saving
from cube.store.sqlite.cache import pack, unpack
from cube.store.sqlite.saving import buckets

KEY = b"the key"
CELLS = st.dictionaries(
    st.integers(0, 359),
    st.builds(CachedBucket, st.integers(1, 2**63 - 1), st.binary(max_size=50)),
    max_size=20,
)


@given(CELLS)
def test_what_was_packed_is_unpacked(cells: dict[int, CachedBucket]) -> None:
    found = unpack(KEY, pack(KEY, cells))

    assert found == cells
    assert all(type(cell) is CachedBucket for cell in (found or {}).values())


@given(CELLS, st.data())
def test_a_flipped_bit_is_found(cells: dict[int, CachedBucket], data: st.DataObject) -> None:
    blob = bytearray(pack(KEY, cells))
    position = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[position // 8] ^= 1 << position % 8

    assert unpack(KEY, bytes(blob)) is None


@given(CELLS, st.integers(0, 2_000))
def test_a_cut_blob_is_found(cells: dict[int, CachedBucket], length: int) -> None:
    blob = pack(KEY, cells)

    assert unpack(KEY, blob[: min(length, len(blob) - 1)]) is None


def test_a_blob_of_another_key_is_found() -> None:
    assert unpack(b"another", pack(KEY, {0: CachedBucket(1, b"a")})) is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 95, 97, 1_000, 1_024, 1_025, 3_000])
def test_a_statement_of_many_rows_writes_each_once(count: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a PRIMARY KEY, b)")
    values = [part for number in range(count) for part in (number, -number)]

    changed = saving.write_rows(connection, "INSERT INTO t", "(?, ?)", "ON CONFLICT DO NOTHING", values, 2)

    assert changed == count
    assert connection.execute("SELECT a, b FROM t ORDER BY a").fetchall() == [(i, -i) for i in range(count)]
    connection.close()


@given(st.lists(st.integers(-(10**13), 10**13), max_size=30))
def test_buckets_are_those_that_hold_the_times(times: list[int]) -> None:
    found = buckets(times)

    assert set(found) == {(tier.step, tier.floor(time)) for tier in CACHED_TIERS for time in times}
    assert len(found) == len(set(found))
