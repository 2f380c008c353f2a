"""The types of one dialect in one environment: how drafts are named, and how many names there may be."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from collector.protocols.shared.dialect import Draft
from collector.protocols.shared.naming import marked, slug
from cube.errors import shown
from cube.model.event import MAX_TYPE_LENGTH
from cube.store.ports import Names

OURS: Final = "cube_"
"""The prefix of the types that Cube itself writes."""

_MAX_TOLD = 200  # of a longer name nearly always a hash is part of the type

_log = logging.getLogger(__name__)


class TypeNames:
    """Names drafts; once there are ``limit`` types, new names become ``<dialect>_other``.

    Names are claimed in the store, so that all collectors keep one limit; those known to be there, and
    a group known to be full, are not asked for again. Names of the same words are one type (see
    `collector.protocols.shared.naming.slug`): the log says so, once for each type in a process.
    """

    def __init__(self, dialect: str, names: Names, limit: int) -> None:
        self._dialect = dialect
        self._names = names
        self._limit = limit
        self._other = f"{dialect}_other"
        self._known: frozenset[str] = frozenset()
        self._first: dict[str, str] = {}  # the name that a known type stood for first
        self._shared: set[str] = set()

    async def name(self, drafts: Sequence[Draft]) -> list[str]:
        """Return the type of each draft. Raises `Unavailable`."""
        foreign = dict.fromkeys(draft.name for draft in drafts if not draft.fixed)
        types = {name: self._type(name) for name in foreign}
        await self._claim(list(types.values()))
        self._tell_shared(types)
        return [draft.name if draft.fixed else self._permitted(types[draft.name]) for draft in drafts]

    async def _claim(self, types: Sequence[str]) -> None:
        if len(self._known) < self._limit and not self._known.issuperset(types):
            self._known = await self._names.claim(self._dialect, types, self._limit)

    def _permitted(self, type: str) -> str:
        return type if type in self._known else self._other

    def _type(self, name: str) -> str:
        type = slug(name)
        if type.startswith(OURS):
            ours = f"{self._dialect}_{type}"
            return ours if len(ours) <= MAX_TYPE_LENGTH else marked(ours, name)
        is_taken = type == self._other or type.startswith(f"{self._dialect}_{OURS}")
        return marked(type, name) if is_taken else type

    def _tell_shared(self, types: Mapping[str, str]) -> None:
        for name, type in types.items():
            if type not in self._known or type in self._shared or len(name) > _MAX_TOLD:
                continue
            first = self._first.setdefault(type, name)
            if first != name:
                self._shared.add(type)
                _log.warning(
                    "%s: the names %s and %s are one type, %s; each event keeps its own in its data",
                    *(self._dialect, shown(first), shown(name), type),
                )
