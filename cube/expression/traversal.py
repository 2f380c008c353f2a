"""The nodes of a tree one after another, for questions that need not know how the language is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cube.expression.nodes import EventExpression, MetricExpression, Reduction


def walk(tree: object) -> Iterator[Any]:
    """Yield the nodes of a tree, or of a tuple of trees, as they stand in its text: each before its parts.

    A node is an instance of a class of `cube.expression.nodes`; what a literal is made of are none.
    """
    pending: list[Any] = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, tuple):
            pending += part[::-1]
        elif hasattr(part, "__dataclass_fields__"):
            yield part
            pending += [getattr(part, name) for name in reversed(part.__slots__)]


def types_read(tree: MetricExpression | EventExpression) -> list[str]:
    """Return the types of all events that an expression is about, each once, as they stand in it."""
    read = (each.type for each in walk(tree) if isinstance(each, Reduction | EventExpression))
    return list(dict.fromkeys(read))
