"""Templates: texts that differ in what fields are compared with, as a page's charts do, are parsed once.

Which text a field is compared with changes nothing else of a tree: so a text is parsed with others in such
places, and its own are put into the tree. Where a text may mean more than itself (it is searched for, or what
is compared with it is computed, or it has an escape) all is parsed as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from operator import is_
from typing import Any, Final, TypeVar, cast

from cube.errors import InvalidExpression
from cube.expression.nodes import Comparison

Tree = TypeVar("Tree")

REMEMBERED, MOST_CHARACTERS = 256, 1_000
"""So many of the latest templates are kept, of so many characters at most."""

_STRING: Final = re.compile(r""""[^"]*"|'[^']*'""")
_BLANKS, _NAME = r"[ \t\n\r]*", r"[A-Za-z_$][\w$]*"
_BEFORE: Final = re.compile(
    rf"(?<![\w$])(?:eq|ne){_BLANKS}\({_BLANKS}{_NAME}(?:\.{_NAME})*{_BLANKS},{_BLANKS}\Z", re.ASCII
)
_FIRST_PLACEHOLDER: Final = 0xF0000  # of a plane for private use: no text that is looked at has any


def parse_alike(parse: Callable[[str], Tree], text: str) -> Tree:
    """Return what ``parse`` makes of a text; of those that are alike it parses the first alone.

    Raises what ``parse`` raises.
    """
    found = _template(text)
    if found is None:
        return parse(text)
    template, texts = found
    try:
        tree = _parsed(parse, template)
    except InvalidExpression:  # its own error tells its own words and places
        return parse(text)
    return cast("Tree", _filled(tree, texts))


_parsed = lru_cache(maxsize=REMEMBERED)(lambda parse, template: parse(template))


def _template(text: str) -> tuple[str, dict[str, str]] | None:
    """Return a text with placeholders, and what each stands for; None where there is nothing to replace."""
    if len(text) > MOST_CHARACTERS or "\\" in text or not (text.isascii() and text.isprintable()):
        return None
    texts: dict[str, str] = {}
    others: set[str] = set()
    parts: list[str] = []
    end = 0
    for string in _STRING.finditer(text):
        before, content = text[end : string.start()], string[0][1:-1]
        end = string.end()
        if _BEFORE.search(before):
            # Equal texts have one placeholder, and none that stands elsewhere, too, has any: so whether two
            # parts of a tree are equal stays as it is.
            texts.setdefault(content, chr(_FIRST_PLACEHOLDER + len(texts)))
            content = texts[content]
        else:
            others.add(content)
        parts += before, string[0][0], content, string[0][0]
    if not texts or not others.isdisjoint(texts):
        return None
    return "".join([*parts, text[end:]]), {placeholder: content for content, placeholder in texts.items()}


def _filled(node: Any, texts: Mapping[str, str]) -> Any:
    """Return a node with texts in the place of placeholders; what has none is the same object."""
    if isinstance(node, Comparison) and isinstance(node.literal, str) and node.literal in texts:
        return replace(node, literal=texts[node.literal])
    if isinstance(node, tuple):
        made = tuple([_filled(each, texts) for each in node])
        return node if all(map(is_, made, node)) else made
    if not hasattr(node, "__dataclass_fields__"):
        return node
    parts = [(name, getattr(node, name)) for name in node.__slots__]
    changed = {name: made for name, part in parts if (made := _filled(part, texts)) is not part}
    return replace(node, **changed) if changed else node
