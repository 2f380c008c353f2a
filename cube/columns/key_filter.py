"""Key filters: what of the events of a type the holder of a key may see; see `cube.model.environment.Key`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cube.columns import check
from cube.errors import AccessDenied, InvalidRequest, InvalidSettings, shown
from cube.expression import parse_filters
from cube.expression.nodes import EventExpression, Filter
from cube.model.environment import Caller, Key


def filters_of(caller: Caller) -> tuple[Filter, ...]:
    """Return the filters that hold for all that a caller sees; none without a key that has any.

    Raises `AccessDenied` where they cannot be read: then nothing may be seen with the key.
    """
    if caller.key is None or not caller.key.filter:
        return ()
    try:
        return read_filters(caller.key.filter)
    except InvalidRequest:
        raise AccessDenied("The filter of this key cannot be read; ask who gave you the key.") from None


@lru_cache(maxsize=256)
def read_filters(text: str) -> tuple[Filter, ...]:
    """Read the text of a key's filter: ``eq(customer, "acme").ge(n, 1)``.

    Raises `InvalidExpression`, or `InvalidQuery` for a pattern that is not valid.
    """
    filters = parse_filters(text)
    check(EventExpression("any", (), filters))  # its patterns
    return filters


def refuse_bad_filters(keys: Iterable[Key]) -> None:
    """Raise `InvalidSettings` where the filter of one of these keys cannot be read."""
    for key in keys:
        try:
            if key.filter:
                read_filters(key.filter)
        except InvalidRequest as error:
            raise InvalidSettings(
                f"Got the filter {shown(key.filter)} of the key {key.id}. {error.message}"
            ) from None
