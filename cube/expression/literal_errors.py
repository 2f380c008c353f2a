"""Where a literal stands in the text of an expression, so that what it means wrongly is told at its place."""

from __future__ import annotations

import re
from typing import Final

from cube.errors import InvalidExpression
from cube.expression.source import Source
from cube.expression.string_literals import STRING, unquoted

_TOKEN: Final = re.compile(rf"(?P<string>{STRING})|(?P<name>[\w$]+)[ \t\n\r]*\(", re.DOTALL)


def refused(text: str, operator: str, literal: str, message: str) -> InvalidExpression:
    """Make the error that an operator's literal is refused, at its place in a text that parses.

    Of several that are equal it is the first; the beginning where there is none.
    """
    source = Source(text)
    line, column = source.position(_place(source, operator, literal))
    return InvalidExpression(message, line=line, column=column, field="expression")


def _place(source: Source, operator: str, literal: str) -> int:
    name = ""
    for token in _TOKEN.finditer(source):
        if token["name"] is not None:
            name = token["name"]
        elif name == operator and unquoted(source, token.start(), token[0]) == literal:
            return token.start()
    return 0
