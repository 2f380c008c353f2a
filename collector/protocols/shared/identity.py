"""Ids made of content, for protocols without ids: an exact resend stores nothing twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from cube import json_text
from cube.model.event import ABSENT


def hashed(value: Any) -> str:
    """Return an id of 32 characters that equal JSON values share, whatever the order of their keys."""
    return hashlib.sha256(json_text.encode_ordered(value)).hexdigest()[:32]


class Occurrences:
    """Tells equal records of one request apart by how often each has occurred in it.

    So a burst of records that are equal in all stays as many events, and the same request again the same.
    """

    def __init__(self) -> None:
        self._counts: Counter[Any] = Counter()

    def own(self, id: Any) -> Any:
        """Return the id of one more record, of the id that all its equals have; `ABSENT` stays so."""
        if id is ABSENT:
            return id
        self._counts[id] += 1
        count = self._counts[id]
        return id if count == 1 else hashed([id, count])
