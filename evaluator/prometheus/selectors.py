"""Selectors of PromQL, ``name{label="value"}``, as Cube's expressions have them.

Grafana's builder, its variables and client libraries compose these; all else of PromQL is not read. A label
stands for a field, whose name it is with everything but letters, digits and ``_`` made ``_``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from cube.errors import InvalidQuery, shown
from cube.expression.operators import compile_pattern, finds
from cube.expression.printer import quote
from cube.model import duration
from cube.model.property import is_unicode

NAME: Final = "__name__"

FieldOf: TypeAlias = Callable[[str, str], str]
"""Returns the field, as an expression has it, that a label of a type stands for."""

_IDENTIFIER = r"[a-zA-Z_][a-zA-Z0-9_]*"
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
    rf"""|(?P<open>(?:{_IDENTIFIER})?\s*\{{)|(?P<other>{_IDENTIFIER}|\s+|[^"'`])""",
    re.DOTALL,
)
"""Names and blanks are read as a whole, and no string begins that has no end: so a text is read once."""

_MATCHER = re.compile(
    rf"""\s*(?P<label>{_IDENTIFIER})\s*(?P<operator>=~|!~|!=|=)\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(?P<end>,|\})""",
    re.DOTALL,
)
_WINDOW = re.compile(rf"(.*)\[\s*({duration.PATTERN})\s*\]\s*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_LISTED = re.compile(
    r"\(?((?:[^\\()\[\]{}.*+?^$|]|\\[^a-zA-Z0-9])*(?:\|(?:[^\\()\[\]{}.*+?^$|]|\\[^a-zA-Z0-9])*)*)\)?"
)
_QUOTED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}
_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector; ``operator``: = != =~ or !~."""

    label: str
    operator: str
    value: str

    def passes(self, name: str) -> bool:
        """Tell whether a text passes. Raises `InvalidQuery` for what is not a regular expression."""
        if self.operator in ("=", "!="):
            return (self.value == name) is (self.operator == "=")
        found = finds(_whole(self.value), name)
        return found is (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """``name{…}``; ``name``: "" where none is given. ``matchers``: the others."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def names(self, types: Sequence[str]) -> list[str]:
        """Return the types that it is about."""
        conditions = [matcher for matcher in self.matchers if matcher.label == NAME]
        return [
            type
            for type in types
            if self.name in ("", type) and all(condition.passes(type) for condition in conditions)
        ]

    @property
    def exact_name(self) -> str:
        """The one name that it is about; "" where that is a matter of a pattern, or of all."""
        equal = (each.value for each in self.matchers if each.label == NAME and each.operator == "=")
        return self.name or next(equal, "")

    def passes(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series with these labels passes its matchers."""
        return all(matcher.passes(labels.get(matcher.label, "")) for matcher in self.matchers)

    def text(self, type: str, field_of: FieldOf) -> str:
        """Return the events of a type that it selects, as an expression has them."""
        others = (matcher for matcher in self.matchers if matcher.label != NAME)
        return type + "".join(f".{_filter(matcher, field_of(type, matcher.label))}" for matcher in others)


def windowed(query: str) -> tuple[str, int | None]:
    """Part ``query[5m]`` into the query and its window in milliseconds; None where it has none."""
    found = _WINDOW.fullmatch(query)
    return (query, None) if found is None else (found[1], duration.parse(found[2]))


def whole_selector(query: str) -> Selector | None:
    """Return the selector that a query is as a whole, if any: ``request``, ``request{host="a"}``."""
    text = query.strip()
    if re.fullmatch(_IDENTIFIER, text):
        return Selector(text)
    found = re.match(rf"(?:{_IDENTIFIER})?\s*\{{", text)
    if found is None:
        return None
    selector, stop = read_selector(text, 0)
    return selector if not text[stop:].strip() else None


def read_selector(text: str, start: int) -> tuple[Selector, int]:
    """Read the selector at a place, where a name or ``{`` stands, and return where it ends.

    Raises `InvalidQuery` with its line and column.
    """
    brace = text.index("{", start)
    name, place, matchers = text[start:brace].strip(), brace + 1, []
    blank = re.compile(r"\s*\}").match(text, place)
    if blank is not None:
        return Selector(name), blank.end()
    while True:
        found = _MATCHER.match(text, place)
        if found is None:
            raise at(text, place, 'Expected a matcher, such as host="a"')
        matchers.append(Matcher(found["label"], found["operator"], _unquoted(found["value"])))
        place = found.end()
        end = re.compile(r"\s*\}").match(text, place)
        if found["end"] == "}" or end is not None:
            break
    place = place if found["end"] == "}" else end.end() if end is not None else place
    return Selector(name, tuple(matchers)), place


def rewritten(query: str, field_of: FieldOf) -> str:
    """Return a query as Cube's language has it: each selector within is a type with filters."""
    return "".join(_rewritten(query, field_of))


def types_within(query: str) -> Iterator[str]:
    """Yield the names before the braces of a query, up to a string that does not end."""
    token = _TOKEN.match(query)
    while token is not None:
        if token["open"] is not None:
            yield token["open"].rstrip("{").strip()
        token = _TOKEN.match(query, token.end())


def _rewritten(query: str, field_of: FieldOf) -> Iterator[str]:
    place = 0
    while place < len(query):
        token = _TOKEN.match(query, place)
        if token is None:
            raise at(query, place, "Expected a string that ends")
        if token["open"] is None:
            yield token[0]
            place = token.end()
            continue
        selector, place = read_selector(query, place)
        if not selector.name:
            raise at(query, place, "Expected a type before the braces")
        yield selector.text(selector.name, field_of)


def at(text: str, place: int, message: str) -> InvalidQuery:
    """Return the error of a place in a query."""
    before = text[:place]
    line, column = before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1
    near = text[max(0, place - 20) : place + 20]
    return InvalidQuery(f"{line}:{column}: parse error: {message}, near {quote(near)}.", field="query")


def _filter(matcher: Matcher, field: str) -> str:
    positive = _positive(matcher, field)
    return positive if matcher.operator in ("=", "=~") else f"not({positive})"


def _positive(matcher: Matcher, field: str) -> str:
    """Read a label's text: ``"500"`` is the number, too, ``"true"`` the truth, ``""`` what is not there."""
    value = matcher.value
    if matcher.operator in ("=", "!="):
        return _among([value], field)
    listed = _LISTED.fullmatch(value)
    if listed is not None:
        return _among([_QUOTED.sub(r"\1", each) for each in listed[1].split("|")], field)
    return f"re({field},{quote(_whole(value))})"


def _whole(pattern: str) -> str:
    """Return a pattern that finds only whole texts. Raises `InvalidQuery` for what is not one."""
    compile_pattern(pattern)  # by itself: "a)|(b" would be one in parentheses
    return f"^(?:{pattern})$"


def _among(values: Sequence[str], field: str) -> str:
    """Return the filter of what is any of some texts, or the number or the truth that one of them writes."""
    same = [quote(value) for value in values]
    same += [value for value in values if value in ("true", "false") or _is_number(value)]
    if "" in values:
        return f"or(not(exists({field})),in({field},[null,{','.join(same)}]))"
    return f"eq({field},{same[0]})" if len(same) == 1 else f"in({field},[{','.join(same)}])"


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and len(text) < 20


def _unquoted(text: str) -> str:
    value = text[1:-1] if text[0] == "`" else _ESCAPED.sub(_character, text[1:-1])
    if not is_unicode(value):
        raise InvalidQuery(f"parse error: Got half a surrogate pair in {shown(value)}.", field="query")
    return value


def _character(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xu" and len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, code)
