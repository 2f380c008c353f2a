"""Answers of several pages, as one table."""

from __future__ import annotations

import pyarrow as pa

from cube.client.table import joined


def test_pages_are_one_table_whatever_each_has() -> None:
    pages = [pa.table({"n": [page, None], "a": pa.array([None, None], pa.utf8())}) for page in range(300)]
    pages.append(pa.table({"n": [0.5], "b": ["x"]}))
    whole = joined(pages)
    assert whole.column_names == ["n", "a", "b"]
    assert whole["n"].type == pa.float64()
    assert whole["n"].to_pylist() == [*(each for page in range(300) for each in (page, None)), 0.5]
    assert whole["a"].null_count == 601
    assert whole["b"].to_pylist() == [None] * 600 + ["x"]
