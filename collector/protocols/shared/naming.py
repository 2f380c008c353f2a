"""How foreign names become types: one documented rule for all dialects.

What a type has no room for goes, and where anything but the case of letters and what parts the words
went, a hash of the whole name stands in its place: so no two names share a type but those of the same
words in the same order (``Item Purchased``, ``item-purchased``, ``itemPurchased``).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from cube.model.event import MAX_TYPE_LENGTH

DIGEST_LENGTH: Final = 10
"""Hexadecimal digits of a hash: of a thousand names that are alike but for it, two share it once in
two million times."""

_LOWER_UPPER = re.compile(r"([a-z0-9])([A-Z])")
_ACRONYM = re.compile(r"([A-Z]+)([A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9_]+")
_WORDS = re.compile(r"[A-Za-z0-9]+(?:[ _./:-]+[A-Za-z0-9]+)*")
_MADE = re.compile(rf"e_[0-9].*|.*_x[0-9a-f]{{{DIGEST_LENGTH}}}")  # what only this rule adds to a name
_KEPT_LENGTH = MAX_TYPE_LENGTH - DIGEST_LENGTH - len("_x")


def slug(name: str) -> str:
    """Return the type that a foreign name becomes: ``userID`` is user_id, ``Item Purchased`` item_purchased.

    Words of camelCase are parted by ``_``, all is lower case, every run of other characters is one
    ``_``, a leading digit gets ``e_`` before it. A name that is more than words of ASCII letters and
    digits, parted by blanks, ``_``, ``-``, ``.``, ``/`` or ``:``, or that is too long, ends in ``_x`` and a
    hash of it (accents go, then): ``+1`` is e_1_x and ten digits. An empty one is ``event``.
    """
    text = _plain(name)
    return text if not name or _is_whole(name, text) else marked(text, name)


def marked(type: str, name: str) -> str:
    """Return a type with the hash of the foreign name that it stands for."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    return f"{type[:_KEPT_LENGTH].rstrip('_')}_x{digest}"


def _plain(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parted = _LOWER_UPPER.sub(r"\1_\2", _ACRONYM.sub(r"\1_\2", ascii_name)).lower()
    text = _OTHER.sub("_", parted).strip("_") or "event"
    return f"e_{text}" if text[0].isdigit() else text


def _is_whole(name: str, text: str) -> bool:
    """Tell whether a type says the name's words, and cannot have been made of any others."""
    if len(text) > MAX_TYPE_LENGTH or not _WORDS.fullmatch(name):
        return False
    return not _MADE.fullmatch(text) or (name[0].isdigit() and not _MADE.fullmatch(text[2:]))
