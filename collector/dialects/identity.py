"""Ids made of content, for protocols without ids: an exact resend stores nothing twice."""

from __future__ import annotations

import hashlib
from typing import Any

from cube.web import json_text


def hashed(value: Any) -> str:
    """Return an id of 32 characters that equal JSON values share, whatever the order of their keys."""
    return hashlib.sha256(json_text.encode_ordered(value)).hexdigest()[:32]
