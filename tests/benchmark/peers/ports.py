"""What a peer does."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.benchmark.questions import Answer, Question


class Unsupported(RuntimeError):
    """A peer or a program cannot be had here, or does not know this kind of question."""


class Peer(Protocol):
    """A database that holds the same events."""

    name: str
    version: str

    def load(self, rows: Path, events: int) -> float:
        """Fill it with the first events, from flat JSON lines; return the milliseconds."""

    def answer(self, question: Question) -> Answer:
        """Answer a question; raises `Unsupported`."""

    def milliseconds(self, question: Question) -> float:
        """Return how long an answer takes; raises `Unsupported`."""
