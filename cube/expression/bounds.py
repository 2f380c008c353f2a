"""The bounds of an expression's text and tree, checked in linear time."""

from __future__ import annotations

import re
from itertools import islice

from cube.expression.nodes import Grouping, GroupPart
from cube.expression.source import Source
from cube.expression.traversal import walk

MAX_CHARACTERS = 10_000
MAX_LEVELS = 50
MAX_NODES = 1_000

# Strings are skipped whole, an unclosed one to the end of the text. Possessive: linear time.
_NESTING = re.compile(
    r"""(?P<string>"(?:[^"\\]++|\\.)*+"? | '(?:[^'\\]++|\\.)*+'? )
      | (?P<open>[(\[]) | (?P<close>[)\]]) | (?P<minus>-) | (?P<operator>[+*/,])
      | (?P<operand>[^ \t\n\r])""",
    re.DOTALL | re.VERBOSE,
)


def check_text(source: Source) -> None:
    """Refuse, in one linear pass, a text that is too long or too deep for the grammar.

    Levels are the brackets open at a place, and with them the unary minuses whose operand has not
    ended. Raises `InvalidExpression`.
    """
    if len(source) > MAX_CHARACTERS:
        problem = f"Got {len(source)} characters, accepted are at most {MAX_CHARACTERS}; the text is cut off"
        raise source.refusal(MAX_CHARACTERS, problem)
    levels = minuses = 0
    outer: list[int] = []  # for each open bracket, the minuses before it
    operand_ended = False
    for lexeme in _NESTING.finditer(source):
        kind = lexeme.lastgroup
        if kind == "open":
            outer.append(minuses)
            levels, minuses = levels + 1 + minuses, 0
        elif kind == "close" and outer:
            minuses = outer.pop()
            levels -= 1 + minuses
        elif kind == "operator" or (kind == "minus" and operand_ended):
            minuses = 0
        elif kind == "minus":
            minuses += 1
        operand_ended = kind in {"close", "operand", "string"}
        if levels + minuses > MAX_LEVELS:
            raise source.refusal(lexeme.start(), f"Got more than the accepted {MAX_LEVELS} levels")


def check_nodes(tree: object, source: Source) -> None:
    """Refuse a tree of too many nodes; the length of the text bounds literals. Raises `InvalidExpression`."""
    # Names stand for many: what is much too large is not counted to its end.
    counted = islice(walk(tree), 100 * MAX_NODES)
    nodes = sum(not isinstance(node, (Grouping, GroupPart)) for node in counted)
    if nodes > MAX_NODES:
        raise source.refusal(0, f"Got {nodes} nodes, accepted are at most {MAX_NODES}; the expression begins")
