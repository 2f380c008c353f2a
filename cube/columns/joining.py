"""Packed blocks put one behind the other: their columns, with one table of texts for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cube.columns.packed import Codes, Kept, PackedBlock, PackedColumn, Texts
from cube.columns.values import Path


def joined(blocks: Sequence[PackedBlock]) -> PackedBlock:
    """Put blocks one behind the other; the columns are those that all have."""
    if len(blocks) == 1:
        return blocks[0]
    paths = blocks[0].paths.intersection(*(block.paths for block in blocks[1:]))
    columns: dict[tuple[str, Path], PackedColumn] = {}
    for path in paths:
        both = [(block.packed["searched", path], block.packed["stored", path]) for block in blocks]
        found = columns["searched", path] = _joined([each for each, _ in both])
        is_same = all(each is other for each, other in both)
        columns["stored", path] = found if is_same else _joined([each for _, each in both])
    return PackedBlock(np.concatenate([block.times for block in blocks]), columns)


def _joined(columns: Sequence[PackedColumn]) -> PackedColumn:
    lengths = [len(column.kinds) for column in columns]
    codes, texts = _joined_texts(columns)
    rest = max((column.rest for column in columns), key=len)
    return PackedColumn(
        np.concatenate([column.kinds for column in columns]),
        np.concatenate([column.numbers for column in columns]),
        codes,
        texts,
        Kept.joined([column.kept for column in columns], lengths),
        Kept.joined([_origins_at(column, rest) for column in columns], lengths),
        rest,
        whole=all(column.whole for column in columns),
    )


def _origins_at(column: PackedColumn, rest: Path) -> Kept:
    """Return a column's origins as those of a path that may begin earlier, at the whole data.

    Of blocks whose data are all objects the origins are a property's values, of others the data themselves.
    """
    origins, lead = column.origins, rest[: len(rest) - len(column.rest)]
    for name in reversed(lead):
        origins = Kept(origins.rows, [{str(name): value} for value in origins.values])
    return origins


def _joined_texts(columns: Sequence[PackedColumn]) -> tuple[Codes | None, Texts]:
    if all(column.codes is None for column in columns):
        return None, Texts()
    places: dict[str, int] = {}
    parts = []
    for column in columns:
        if column.codes is None:
            parts.append(np.full(len(column.kinds), -1, dtype=np.int32))
            continue
        table = [places.setdefault(text, len(places)) for text in column.texts]
        parts.append(np.array([*table, -1], dtype=np.int32)[column.codes])
    return np.concatenate(parts), Texts(places)
