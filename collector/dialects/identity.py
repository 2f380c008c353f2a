"""Ids made of content, for protocols without ids: an exact resend stores nothing twice."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(order="deterministic")


def hashed(value: Any) -> str:
    """Return an id of 32 characters that equal JSON values share, whatever the order of their keys."""
    return hashlib.sha256(_ENCODER.encode(value)).hexdigest()[:32]
