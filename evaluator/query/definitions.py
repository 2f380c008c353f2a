"""Definitions as they are in the store now."""

from __future__ import annotations

from cube.expression.definitions import Definitions
from cube.store.ports import Store


async def read_definitions(store: Store, *, are_told: bool = True) -> Definitions:
    """Return the definitions of an environment: all that were acknowledged before the call are there."""
    texts = {each.name: each.content for each in await store.definitions.all()}
    return Definitions(texts, are_told=are_told)
