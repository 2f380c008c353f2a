"""How foreign names become types: one documented rule for all dialects."""

from __future__ import annotations

import re
import unicodedata

from cube.event import MAX_TYPE_LENGTH

_LOWER_UPPER = re.compile(r"([a-z0-9])([A-Z])")
_ACRONYM = re.compile(r"([A-Z]+)([A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9_]+")


def slug(name: str) -> str:
    """Return the type that a foreign name becomes: ``userID`` is user_id, ``Item Purchased`` item_purchased.

    Accents go (NFKD), words of camelCase are parted by ``_``, all is lower case, every run of other
    characters is one ``_``, those at the ends go, a leading digit gets ``e_`` before it, nothing
    becomes ``event``, and it ends at 64 characters.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parted = _LOWER_UPPER.sub(r"\1_\2", _ACRONYM.sub(r"\1_\2", ascii_name)).lower()
    text = _OTHER.sub("_", parted).strip("_") or "event"
    text = f"e_{text}" if text[0].isdigit() else text
    return text[:MAX_TYPE_LENGTH].rstrip("_")
