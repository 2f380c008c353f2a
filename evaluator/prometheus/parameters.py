"""Parameters as Prometheus reads them: of a URL and of a form; times and durations in its notations.

Source: the HTTP API page of Prometheus' documentation, and what version 2.42 does where that is silent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from cube.errors import InvalidQuery, InvalidRequest, shown
from cube.model import duration, instant
from cube.web import MAX_PARAMETERS, Request, media_type

Parameters: TypeAlias = Mapping[str, Sequence[str]]
"""The values of each name, the form's first."""

SECOND: Final = 1_000

_FORM = "application/x-www-form-urlencoded"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt].+(?:[Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_YEAR = re.compile(r"([0-9]{1,3})y(.*)", re.ASCII)


def read_parameters(request: Request) -> Parameters:
    """Return the parameters of a request. Raises `InvalidQuery` for too many."""
    found: dict[str, list[str]] = {}
    pairs = list(request.pairs("replace"))
    if media_type(request) == _FORM:
        try:
            form = parse_qsl(
                request.body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS
            )
        except ValueError:
            raise InvalidQuery(f"Got more than {MAX_PARAMETERS} parameters in a form.") from None
        pairs = form + pairs
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def first(parameters: Parameters, name: str) -> str:
    """Return what counts of a parameter; "" where it is not there."""
    values = parameters.get(name)
    return values[0] if values else ""


def time(parameters: Parameters, name: str, usual: int | None = None) -> int:
    """Return a time in milliseconds; ``usual``: where there is none. Raises `InvalidQuery`."""
    text = first(parameters, name)
    if not text and usual is not None:
        return usual
    number = _decimal(text)
    try:
        if number is not None:
            return instant.parse(int((number * SECOND).to_integral_value(ROUND_HALF_UP)))
        if _RFC_3339.fullmatch(text):
            return instant.parse(text)
    except InvalidRequest:
        pass
    raise InvalidQuery(
        f'invalid parameter "{name}": Got {shown(text)}; accepted are seconds since 1970, or a time with a'
        " zone as in RFC 3339.",
        field=name,
    )


def length(parameters: Parameters, name: str, usual: int | None = None) -> int:
    """Return a duration in milliseconds: seconds, or words (``1h30m``). Raises `InvalidQuery`."""
    text = first(parameters, name)
    if not text and usual is not None:
        return usual
    number = _decimal(text)
    if number is not None:
        return int(number * SECOND)
    try:
        return _words(text)
    except InvalidRequest:
        raise InvalidQuery(
            f'invalid parameter "{name}": Got {shown(text)}; accepted are seconds, or durations such as 15s,'
            " 5m or 1h30m.",
            field=name,
        ) from None


def limit(parameters: Parameters) -> int | None:
    """Return how many things are asked for; None: all. Raises `InvalidQuery`."""
    text = first(parameters, "limit")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidQuery(
            f'invalid parameter "limit": Got {shown(text)}; accepted are whole numbers.', field="limit"
        )
    return int(text) or None


def _words(text: str) -> int:
    year = _YEAR.fullmatch(text)
    if year is None:
        return duration.parse(text)
    return int(year[1]) * 365 * duration.UNITS["d"] + (duration.parse(year[2]) if year[2] else 0)


def _decimal(text: str) -> Decimal | None:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
