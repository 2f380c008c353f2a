"""Definitions as they are in the store now."""

from __future__ import annotations

from cube.expression.definitions import Definitions
from cube.store.ports import Store


async def read_definitions(store: Store) -> Definitions:
    """Return the definitions of an environment: all that were acknowledged before the call are there."""
    return Definitions({each.name: each.content for each in await store.definitions.all()})
