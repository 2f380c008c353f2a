"""What is in flight in a run: saves, and questions."""

from __future__ import annotations

from dataclasses import dataclass

from tests.promise.actors import Actor
from tests.promise.asked import Asked
from tests.promise.model import Removal, Version, Window


@dataclass(eq=False)
class Save:
    """A save in flight, or one whose writer was killed; with a ``removal`` it is a deletion."""

    actor: Actor
    versions: list[Version]
    collector: int
    removal: Removal | None = None


@dataclass(eq=False)
class Question:
    """A question in flight."""

    actor: Actor
    window: Window
    asked: Asked
    evaluator: int
