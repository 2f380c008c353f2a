"""A board: a named set of charts, as it is kept and as it is exported, a JSON text.

::

    {"version": 1, "title": "Shop", "span": "6h",
     "variables": [{"name": "host", "type": "request", "field": "host"}],
     "charts": [{"expressions": ["sum(request.eq(host, $host))"], "chart": "area", "width": 6, "height": 4}]}

Expressions are kept as they were written, and are not parsed here: ``$host`` stands for the value that is
chosen (see `cube.expression.variables`), and a wrong one is told where its chart would be.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from cube import json_text
from cube.errors import LONGEST_SHOWN, InvalidRequest, TooLarge, shown
from cube.model.grid import grid_of
from cube.model.tier import TEN_SECONDS

MOST_BOARDS: Final = 200
"""Of one environment."""

MOST_BYTES: Final = 64 * 1024
"""Of one board, as JSON."""

MOST_CHARTS: Final = 60
COLUMNS: Final = 12
"""The width of a board."""

NAME: Final = "[a-z0-9][a-z0-9-]{0,63}"

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NAME = re.compile(NAME)
_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]
_Value: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)] | int | float | bool | None
_Expression: TypeAlias = Annotated[str, msgspec.Meta(max_length=10_000)]


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What ``$name`` stands for: one of the values of a type's field; None is all of them."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,31}\\Z")]
    type: Annotated[str, msgspec.Meta(pattern="^[a-z_][a-zA-Z0-9_]{0,63}\\Z")]
    field: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    value: _Value = None


class Chart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One chart; ``width`` in columns of `COLUMNS`, ``height`` in rows.

    ``step``: milliseconds, or words (see `cube.model.grid`); None is automatic. ``compare``: with the same
    span so long before. Charts stand one after the other, in as many rows as they need.
    """

    expressions: Annotated[tuple[_Expression, ...], msgspec.Meta(min_length=1, max_length=12)]
    title: _Text = ""
    chart: Literal["line", "area", "stacked", "bars", "horizon", "heat", "number", "table"] = "line"
    width: Annotated[int, msgspec.Meta(ge=2, le=COLUMNS)] = 6
    height: Annotated[int, msgspec.Meta(ge=2, le=12)] = 4
    compare: Literal["", "1d", "7d"] = ""
    step: int | Annotated[str, msgspec.Meta(max_length=20)] | None = None


class Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A set of charts over the last ``span`` of time, which all of them show.

    ``timezone``: by whose clocks their buckets are, and times are told; "" leaves that to who looks.
    ``week_start``: on which day buckets of whole weeks begin.
    """

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    charts: Annotated[tuple[Chart, ...], msgspec.Meta(max_length=MOST_CHARTS)] = ()
    variables: Annotated[tuple[Variable, ...], msgspec.Meta(max_length=10)] = ()
    span: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]{0,4}[smhdw]\\Z")] = "1h"
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = ""
    week_start: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = (
        "monday"
    )
    version: Literal[1] = 1

    @classmethod
    def parse(cls, text: bytes | str) -> Board:
        """Read a board; raises `InvalidRequest`, and `TooLarge` over `MOST_BYTES`."""
        if len(text) > MOST_BYTES:
            raise TooLarge(f"Got a board of {len(text)} bytes; accepted are {MOST_BYTES}.")
        try:
            board = msgspec.convert(json_text.decode(text), cls)
        except msgspec.ValidationError as error:
            raise InvalidRequest(
                f"Got a board that is not valid ({_cut(str(error))}); accepted is what docs/reference.md"
                " describes."
            ) from None
        for chart in board.charts:
            step = TEN_SECONDS.step if chart.step is None else chart.step
            grid_of(step, board.timezone or "UTC", board.week_start)
        names = [variable.name for variable in board.variables]
        if len(set(names)) < len(names):
            raise InvalidRequest(
                f"Got the variables {', '.join(names)}; accepted is a name of its own for each."
            )
        return board

    def text(self) -> str:
        """Return it as it is stored; what is as by default is left out, but for the version."""
        return json_text.encode({"version": self.version, **msgspec.to_builtins(self)}).decode()


class BoardSummary(msgspec.Struct, frozen=True):
    """What a list shows of a stored board, of a later version as well; the charts are not looked into."""

    title: str = ""
    charts: tuple[msgspec.Raw, ...] = ()

    @classmethod
    def read(cls, text: str) -> BoardSummary:
        """Read the text that is stored; empty where even that is of another form."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.ValidationError:
            return cls()


def length(span: str) -> int:
    """Return the milliseconds of a board's span: 21 600 000 of ``6h``."""
    return int(span[:-1]) * _UNITS[span[-1]]


def check_name(name: str) -> str:
    """Return a board's name; raises `InvalidRequest` where it is not one."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"Got the board name {shown(name)}; accepted is text that matches {NAME}.")
    return name


def _cut(reason: str) -> str:
    """Leave out the middle of a reason that holds a long name or value; it ends with the place."""
    if len(reason) <= 4 * LONGEST_SHOWN:
        return reason
    return f"{reason[:LONGEST_SHOWN]}...{reason[-LONGEST_SHOWN:]}"
