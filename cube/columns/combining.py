"""Several values as one: the text of a JSON array, such as ``["ann",3]``; ``combine(user, 3)``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cube.columns.column import Rows
from cube.columns.packed import PackedColumn, Texts
from cube.columns.values import Scalar, group_of


def combined_text(values: Sequence[Scalar]) -> str:
    """Return the text that stands for some values together; equal numbers have one, whatever their class."""
    return f"[{','.join(map(_part, values))}]"


def combined_codes(columns: Sequence[PackedColumn], rows: Rows) -> tuple[npt.NDArray[np.int64], Texts]:
    """Return the texts of some rows, in which each column has a value: codes, and the text of each code."""
    numbers = np.zeros(len(rows), dtype=np.int64)
    told = np.array([""], dtype=object)  # whole arrays of texts are joined at once
    for column in columns:
        codes, parts = column.factorised(rows, _part)
        width = max(1, len(parts))
        different, numbers = np.unique(numbers * width + codes, return_inverse=True)
        before, code = np.divmod(different, width)
        told = told[before] + np.array([f",{part}" for part in parts], dtype=object)[code]
    return numbers.astype(np.int64), Texts(f"[{text[1:]}]" for text in told.tolist())


def _part(value: Scalar) -> str:
    return json.dumps(group_of(value), ensure_ascii=False)
