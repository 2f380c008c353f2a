"""What a function makes of the different texts of a column: of each text once, and remembered with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.packed_column import Codes, Texts
from cube.columns.values import Floats
from cube.errors import InvalidQuery
from cube.expression.nodes import Value

Made: TypeAlias = "tuple[Floats, Codes | None, Texts]"
"""By text: the number (NaN is none), the code of the text (-1 is none), and the texts of these codes."""

OfTexts: TypeAlias = Callable[[Sequence[str]], "Sequence[float | str | None]"]
"""A function of one text, of many: a number, a text, NaN or None for each."""

REMEMBERED: Final = 2
"""So many functions of a column's texts are remembered, each in 8 bytes a text at most."""

_BYTES: Final = 8


def made_of(
    texts: Sequence[str],
    codes: npt.NDArray[np.int64],
    key: tuple[str, tuple[Value, ...]],
    of_texts: OfTexts,
) -> Made:
    """Return what a function makes of texts, of which those with some codes count.

    ``key``: the function and its constants. Raises what the function raises for one of the texts that count.
    """
    if not isinstance(texts, Texts) or texts.made.get(key, ()) is None:
        return _of_some(texts, codes, of_texts)
    known = texts.made.get(key)
    if known is None:
        try:
            known = _of_all(texts, of_texts)
        except InvalidQuery:  # a text that is too long for a pattern, which may be another event's
            return _of_some(texts, codes, of_texts)
        while len(texts.made) >= REMEMBERED:
            texts.made.pop(next(iter(texts.made)), None)
        texts.made[key] = known if _size(known) <= _BYTES * len(texts) else None
    return known


def _of_some(texts: Sequence[str], codes: npt.NDArray[np.int64], of_texts: OfTexts) -> Made:
    used = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
    numbers, found, different = _of_all([texts[code] for code in used.tolist()], of_texts)
    every = np.full(len(texts), np.nan)
    every[used] = numbers
    if found is None:
        return every, None, different
    places = np.full(len(texts), -1, dtype=np.int32)
    places[used] = found
    return every, places, different


def _of_all(texts: Sequence[str], of_texts: OfTexts) -> Made:
    results = of_texts(texts)
    if not any(isinstance(each, str) for each in results):
        numbers = np.array([math.nan if each is None else each for each in results], dtype=np.float64)
        return numbers, None, Texts()
    places: dict[str, int] = {}
    codes = [places.setdefault(each, len(places)) if isinstance(each, str) else -1 for each in results]
    return np.broadcast_to(np.float64(np.nan), len(texts)), np.array(codes, dtype=np.int32), Texts(places)


def _size(made: Made) -> int:
    numbers, codes, texts = made
    return _BYTES * len(numbers) if codes is None else codes.nbytes + texts.bytes
