"""Arrow arrays made of numpy's and of texts and JSON values, and read again; each with its checksum.

With `cube.columns.arrow` the only module that imports pyarrow, and it does so when it is first used.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.packed_column import Kept
from cube.columns.values import Floats

Array: TypeAlias = npt.NDArray[Any]

KEPT_BYTES = 2**26
"""A column whose values that arrays do not tell take more JSON is left out."""

_SCALES = (1, 10, 100, 1_000)
_INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32)


class Unreadable(ValueError):
    """An array is not what was written."""


class Unwritable(ValueError):
    """A column has values that JSON does not have, or too many."""


def narrow(numbers: Floats, numeric: npt.NDArray[np.bool_]) -> tuple[Array, int]:
    """Return the narrowest integers, and by what they are divided to be the very numbers; else the floats."""
    values = np.where(numeric, numbers, 0.0)
    if not np.isfinite(values).all() or (np.signbit(values) & (values == 0)).any():
        return np.ascontiguousarray(numbers), 1
    for scale in _SCALES:
        whole = np.rint(values * scale)
        low, high = whole.min(), whole.max()
        if low < -(2**31) or high >= 2**31:
            break
        if (whole / scale == values).all():
            kind = next(
                each for each in _INTEGERS if np.iinfo(each).min <= low and high <= np.iinfo(each).max
            )
            return whole.astype(kind), scale
    return np.ascontiguousarray(numbers), 1


def dictionary(codes: npt.NDArray[np.int32], texts: Sequence[str]) -> Any:
    """Return texts as a dictionary's, without those that no row has."""
    import pyarrow as pa

    used = np.unique(codes[codes >= 0])
    places = np.zeros(max(1, len(texts)), dtype=np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    kind = np.int8 if len(used) < 2**7 else np.int16 if len(used) < 2**15 else np.int32
    indices = pa.array(places[codes].astype(kind), mask=codes < 0)
    values = [texts[code] for code in used.tolist()]
    try:
        table = pa.array(values, pa.string())
    except UnicodeEncodeError:  # halves of surrogate pairs, which JSON may have and UTF-8 has not
        table = pa.array([text.encode("utf-8", "surrogatepass") for text in values], pa.binary())
    return pa.DictionaryArray.from_arrays(indices, table)


def json_cells(kept: Kept, rows: int) -> list[str | None]:
    """Return values as JSON, a cell for each row, None where none is kept; raises `Unwritable`."""
    cells: list[str | None] = [None] * rows
    held = 0
    for row, value in zip(kept.rows.tolist(), kept.values, strict=True):
        if not _is_json(value):
            raise Unwritable
        cells[row] = text = json.dumps(value)
        held += len(text)
        if held > KEPT_BYTES:
            raise Unwritable
    return cells


def _is_json(value: Any) -> bool:
    """Tell whether JSON has a value as it is: no dates, no subclasses."""
    kind = value.__class__
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        return all(name.__class__ is str for name in value) and all(map(_is_json, value.values()))
    return value is None or kind in (str, int, float, bool)


def checksum(array: Any) -> int:
    """Return the checksum of an array's type and of what it holds, without what is between its buffers."""
    import pyarrow as pa

    begun = zlib.crc32(str(array.type).encode())  # of the same bytes another type makes other values
    if isinstance(array, pa.DictionaryArray):
        offsets, data = strings(array.dictionary)
        indices = zlib.crc32(fixed(array.indices).data, begun)
        return zlib.crc32(data, zlib.crc32(offsets.data, indices))
    if pa.types.is_string(array.type):
        offsets, data = strings(array)
        return zlib.crc32(data, zlib.crc32(offsets.data, begun))
    return zlib.crc32(fixed(array).data, begun)


def fixed(array: Any) -> Array:
    """Return the numbers of an array, as they are where it has none."""
    import pyarrow as pa

    kind = np.int32 if pa.types.is_time32(array.type) else array.type.to_pandas_dtype()
    return np.frombuffer(array.buffers()[1], kind, len(array))


def strings(array: Any) -> tuple[npt.NDArray[np.int32], bytes]:
    """Return where each text or JSON value begins and ends, and all of them."""
    _, edges, data = array.buffers()
    if not len(array):
        return np.zeros(1, dtype=np.int32), b""
    offsets = np.frombuffer(edges, np.int32, len(array) + 1)
    if offsets[0] or (np.diff(offsets) < 0).any() or offsets[-1] > (0 if data is None else data.size):
        raise Unreadable("its texts are not as they were written")
    return offsets, b"" if data is None else data.slice(0, int(offsets[-1])).to_pybytes()
