"""What all dialects of a collector share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.ingest.batch import Limits
from collector.ingest.decoding import Decoding
from collector.ingest.intake import Intake
from collector.instrumentation import DialectFigures
from collector.protocols.shared.reading import USUAL, Bounds
from cube.store.ports import Store
from cube.web import Access

GROWTH: Final = 4
"""How many times the bound of a body the events made of one may be together."""

DECODED_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Desk:
    """What all dialects share. ``intakes``, ``stores``: by the name of their environment.

    ``body_bytes``: the bound of a body. ``types``: how many types a dialect may make in an environment.
    ``bounds``: of all searches together. ``decoding``: whose turn it is to be decoded, translated and stored.
    """

    access: Access
    intakes: Mapping[str, Intake]
    stores: Mapping[str, Store]
    limits: Limits
    body_bytes: int
    types: int
    clock: Callable[[], int]
    figures: DialectFigures
    bounds: Bounds = USUAL
    decoding: Decoding = field(default_factory=lambda: Decoding(DECODED_BYTES))
