"""Packed blocks put one behind the other, with one table of texts for each column, or in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cube.columns.column import Rows
from cube.columns.packed import PackedBlock
from cube.columns.packed_column import Codes, Kept, PackedColumn, Texts
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


def taken(block: PackedBlock, order: Rows) -> PackedBlock:
    """Return a block with its rows in another order: all of their places."""
    changed = {id(column): _taken(column, order) for column in block.packed.values()}
    columns = {key: changed[id(column)] for key, column in block.packed.items()}
    return PackedBlock(block.times[order], columns)


def _taken(column: PackedColumn, order: Rows) -> PackedColumn:
    places = np.empty(len(order), dtype=np.intp)
    places[order] = np.arange(len(order))
    return PackedColumn(
        column.kinds[order],
        column.numbers[order],
        None if column.codes is None else column.codes[order],
        column.texts,
        _kept_at(column.kept, places),
        _kept_at(column.origins, places),
        column.rest,
        whole=column.whole,
    )


def _kept_at(kept: Kept, places: Rows) -> Kept:
    """Return what is kept where each row has a place of its own."""
    if not len(kept):
        return kept
    rows = places[kept.rows]
    order = np.argsort(rows)
    return Kept(rows[order], [kept.values[place] for place in order.tolist()])


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
