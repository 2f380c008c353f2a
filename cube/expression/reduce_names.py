"""What reduces are called in expressions: by their names, and otherwise where they have several arguments."""

from __future__ import annotations

from cube.model.reduce import REDUCES


def reduce_words() -> list[str]:
    """Return the words that a reduction begins with: the reduces, ``quantiles`` and ``share``."""
    plural = [several(each.name) for each in REDUCES.values() if each.takes_probability]
    return [*REDUCES, *plural, "share"]


def several(name: str) -> str:
    """Return what a reduce with an argument is called where it has several."""
    return f"{name}s"
