"""How foreign names become types: one documented rule for all dialects, and a bound on how many.

What a type has no room for goes, and where anything but the case of letters and what parts the words
went, a hash of the whole name stands in its place: so no two names share a type but those of the same
words in the same order (``Item Purchased``, ``item-purchased``, ``itemPurchased``).
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from collector.protocols.shared.dialect import Draft
from cube.errors import shown
from cube.model.event import MAX_TYPE_LENGTH
from cube.store.record_ports import Names

OURS: Final = "cube_"
"""The prefix of the types that Cube itself writes."""

DIGEST_LENGTH: Final = 10
"""Hexadecimal digits of a hash: of a thousand names that are alike but for it, two share it once in
two million times."""

_LOWER_UPPER = re.compile(r"([a-z0-9])([A-Z])")
_ACRONYM = re.compile(r"([A-Z]+)([A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9_]+")
_WORDS = re.compile(r"[A-Za-z0-9]+(?:[ _./:-]+[A-Za-z0-9]+)*")
_MADE = re.compile(rf"e_[0-9].*|.*_x[0-9a-f]{{{DIGEST_LENGTH}}}")  # what only this rule adds to a name
_KEPT_LENGTH = MAX_TYPE_LENGTH - DIGEST_LENGTH - len("_x")
_MAX_LOGGED = 200  # of a longer name nearly always a hash is part of the type

_log = logging.getLogger(__name__)


def slug(name: str) -> str:
    """Return the type that a foreign name becomes: ``userID`` is user_id, ``Item Purchased`` item_purchased.

    Words of camelCase are parted by ``_``, all is lower case, every run of other characters is one
    ``_``, a leading digit gets ``e_`` before it. A name that is more than words of ASCII letters and
    digits, parted by blanks, ``_``, ``-``, ``.``, ``/`` or ``:``, or that is too long, ends in ``_x`` and a
    hash of it (accents go, then): ``+1`` is e_1_x and ten digits. An empty one is ``event``.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parted = _LOWER_UPPER.sub(r"\1_\2", _ACRONYM.sub(r"\1_\2", ascii_name)).lower()
    text = _OTHER.sub("_", parted).strip("_") or "event"
    text = f"e_{text}" if text[0].isdigit() else text
    return text if not name or _is_whole(name, text) else marked(text, name)


def marked(type: str, name: str) -> str:
    """Return a type with the hash of the foreign name that it stands for."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    return f"{type[:_KEPT_LENGTH].rstrip('_')}_x{digest}"


def _is_whole(name: str, text: str) -> bool:
    """Tell whether a type says the name's words, and cannot have been made of any others."""
    if len(text) > MAX_TYPE_LENGTH or not _WORDS.fullmatch(name):
        return False
    return not _MADE.fullmatch(text) or (name[0].isdigit() and not _MADE.fullmatch(text[2:]))


class TypeNames:
    """Names drafts; once there are ``limit`` types, new names become ``<dialect>_other``.

    Names are claimed in the store, so that all collectors keep one limit; those known to be there, and
    a group known to be full, are not asked for again. Names of the same words are one type (see `slug`):
    the log says so, once for each type in a process.
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
        if len(self._known) < self._limit and not self._known.issuperset(types.values()):
            self._known = await self._names.claim(self._dialect, list(types.values()), self._limit)
        self._log_shared(types)
        permitted = {name: type if type in self._known else self._other for name, type in types.items()}
        return [draft.name if draft.fixed else permitted[draft.name] for draft in drafts]

    def _type(self, name: str) -> str:
        type = slug(name)
        if type.startswith(OURS):
            ours = f"{self._dialect}_{type}"
            return ours if len(ours) <= MAX_TYPE_LENGTH else marked(ours, name)
        is_taken = type == self._other or type.startswith(f"{self._dialect}_{OURS}")
        return marked(type, name) if is_taken else type

    def _log_shared(self, types: Mapping[str, str]) -> None:
        for name, type in types.items():
            if type not in self._known or type in self._shared or len(name) > _MAX_LOGGED:
                continue
            first = self._first.setdefault(type, name)
            if first != name:
                self._shared.add(type)
                _log.warning(
                    "%s: the names %s and %s are one type, %s; each event keeps its own in its data",
                    *(self._dialect, shown(first), shown(name), type),
                )
