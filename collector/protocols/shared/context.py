"""What all dialects of a collector share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.ingest.batch import BatchLimits
from collector.ingest.intake import Intake
from collector.ingest.quota import DecodingQuota
from collector.instrumentation import DialectCounters
from collector.protocols.shared.reading import SearchLimits
from cube.store.ports import Store
from cube.web import Authenticator

MAX_GROWTH: Final = 4
"""How many times the bound of a body the events made of one may be together."""

DECODED_BYTES: Final = 16 * 2**20

LOOP_BYTES: Final = 16 * 1024
"""Longer bodies are translated in a thread: some take 0.5 ms a KiB, and would hold up all other requests."""


@dataclass(frozen=True, slots=True)
class DialectContext:
    """What all dialects share. ``intakes``, ``stores``: by the name of their environment.

    ``body_bytes``: the bound of a body. ``types``: how many types a dialect may make in an environment.
    ``searches``: the limits of all together. ``decoding``: whose turn it is to be decoded, translated and
    stored.
    """

    access: Authenticator
    intakes: Mapping[str, Intake]
    stores: Mapping[str, Store]
    limits: BatchLimits
    body_bytes: int
    types: int
    clock: Callable[[], int]
    figures: DialectCounters
    searches: SearchLimits = field(default_factory=SearchLimits)
    decoding: DecodingQuota = field(default_factory=lambda: DecodingQuota(DECODED_BYTES))
