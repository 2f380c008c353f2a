"""What one request may hold, whatever its protocol: told before anything is made of it."""

from __future__ import annotations

from typing import Final

from cube.errors import TooLarge

MAX_ITEMS: Final = 20_000
"""Events (or refusals) of one request: millions fit into a body, and each takes a thousand times its size."""


def check_count(count: int) -> None:
    """Raise `TooLarge` where a request holds more than `MAX_ITEMS`."""
    if count > MAX_ITEMS:
        raise TooLarge(f"Got {count} events; accepted are {MAX_ITEMS} in one request.", limit=MAX_ITEMS)
