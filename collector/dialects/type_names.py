"""The types of one dialect in one environment: how drafts are named, and how many names there may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.dialects.dialect import Draft
from collector.dialects.naming import slug
from cube.event import MAX_TYPE_LENGTH
from cube.store.ports import Names

OURS: Final = "cube_"
"""The prefix of the types that Cube itself writes."""


class TypeNames:
    """Names drafts; once there are ``limit`` types, new names become ``<dialect>_other``.

    Names are claimed in the store, so that all collectors keep one limit; those known to be there, and
    a group known to be full, are not asked for again.
    """

    def __init__(self, dialect: str, names: Names, limit: int) -> None:
        self._dialect = dialect
        self._names = names
        self._limit = limit
        self._known: frozenset[str] = frozenset()

    async def name(self, drafts: Sequence[Draft]) -> list[str]:
        """Return the type of each draft. Raises `Unavailable`."""
        foreign = dict.fromkeys(draft.name for draft in drafts if not draft.fixed)
        types = {name: self._type(name) for name in foreign}
        await self._claim(list(types.values()))
        return [draft.name if draft.fixed else self._permitted(types[draft.name]) for draft in drafts]

    async def _claim(self, types: Sequence[str]) -> None:
        if len(self._known) < self._limit and not self._known.issuperset(types):
            self._known = await self._names.claim(self._dialect, types, self._limit)

    def _permitted(self, type: str) -> str:
        return type if type in self._known else f"{self._dialect}_other"

    def _type(self, name: str) -> str:
        type = slug(name)
        return f"{self._dialect}_{type}"[:MAX_TYPE_LENGTH] if type.startswith(OURS) else type
