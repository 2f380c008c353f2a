"""The tokens of the grammar, each with the name that an error gives it; and the text that they stand in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import pyparsing as pp

from cube.errors import InvalidExpression, InvalidRequest
from cube.expression.nodes import Field, MetricExpression
from cube.expression.operators import OPERATORS
from cube.expression.printer import SURROGATE, normal, quote, quote_anything
from cube.expression.series_functions import SERIES_FUNCTIONS, SHORTEST
from cube.model import duration as durations
from cube.model.event import MAX_INTEGER, MAX_TYPE_LENGTH
from cube.model.property import identifier_pattern
from cube.model.reduce import REDUCES

CONDITIONS = ("exists", "or", "and", "not")
"""The names of the filters that are not an operator of a field and a literal."""

T = TypeVar("T")

MAX_SHOWN = 20  # characters of the text that a message shows on either side of a place

_BLANKS = " \t\n\r"
_LEXEME = re.compile(
    r"""(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)[\w$]* | [\w$]+
      | "[^"]*"? | '[^']*'? | .""",
    re.DOTALL | re.VERBOSE,
)
_ODD_START = re.compile(r"""[^ \t\n\r()\[\].,+*/"'-]""")
_NAMED = frozenset(("a field", "a name"))
_OPERAND_START = re.compile(r"[\w(\[]")
_MAX_DIGITS = len(str(MAX_INTEGER))
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(0)(?![0-9])|([^ux0-9]))", re.DOTALL)
_BACKSLASH_RUN = re.compile(r"[^\\]+")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PROBABILITY = "a number from 0 to 1"
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_NUMBER = rf"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?{_EXPONENT}|\.[0-9]+{_EXPONENT}"
STRING = r'"(?:[^"\\]++|\\(?s:.))*+"' + r"|'(?:[^'\\]++|\\(?s:.))*+'"


class Named(Protocol):
    """Expressions that have names; see `cube.expression.definitions.Definitions`."""

    def __contains__(self, name: object) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    @property
    def are_told(self) -> bool: ...

    @property
    def is_parsing(self) -> bool: ...

    def tree(self, name: str) -> MetricExpression: ...


class _Nothing:
    """No names."""

    are_told = is_parsing = False

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def tree(self, name: str) -> MetricExpression:
        raise KeyError(name)


class Source(str):
    """A text that remembers how far its parse got, and what would have continued it there.

    The grammar notes every token that it tried in vain, with `miss`; the misses at the furthest
    place are what was expected. Carrying them on the text keeps concurrent parses apart.
    ``type``, ``field``: the last type that it named, and the last field before a literal; None before that.
    ``definitions``: the names that may be used, and ``used`` those that were. ``calls``: the places of the
    calls of functions of series, by the ``id`` of their nodes. ``places``: where what was made of the text
    begins, and what that was, by its ``id``.
    """

    __slots__ = ("calls", "definitions", "expected", "field", "furthest", "places", "type", "used")

    calls: dict[int, int]
    definitions: Named
    used: list[str]
    expected: dict[str, None]
    furthest: int
    type: str | None
    field: Field | None
    places: dict[int, tuple[object, int]]

    def __new__(cls, text: str, definitions: Named | None = None) -> Source:
        """Make the source of one parse."""
        source = super().__new__(cls, text)
        source.expected, source.furthest, source.calls = {}, 0, {}
        source.definitions, source.used = _Nothing() if definitions is None else definitions, []
        source.type = source.field = None
        source.places = {}
        return source

    def noted(self, made: T, place: int) -> T:
        """Return what was made of the text from a place on, and remember the place."""
        self.places.setdefault(id(made), (made, place))
        return made

    def place_of(self, made: object) -> int:
        """Return where what was made begins; the beginning where that is not known."""
        return self.places.get(id(made), (None, 0))[1]

    def miss(self, place: int, name: str) -> None:
        """Note that the token `name` was expected at `place`, an index into the text, and is not there."""
        if place > self.furthest:
            self.furthest, self.expected = place, {}
        if place == self.furthest:
            self.expected[name] = None

    def unexpected(self) -> InvalidExpression:
        """Make the error for a text that breaks the grammar at the furthest place."""
        return self.expecting(self.furthest, _alternatives(list(self.expected)), self._hint())

    def expecting(self, place: int, expected: str, hint: str = "") -> InvalidExpression:
        """Make the error that `expected` was wanted at `place`, and says what is there."""
        return self.refusal(place, f"Expected {expected}, found {self._lexeme(place)}", hint)

    def refusal(self, place: int, problem: str, hint: str = "") -> InvalidExpression:
        """Make the error that tells `problem`, where it is, and the text around."""
        line, column = self.position(place)
        return InvalidExpression(
            f"{problem} at line {line}, column {column}, near {self._around(place)}{hint}.",
            line=line,
            column=column,
        )

    def position(self, place: int) -> tuple[int, int]:
        """Return the line and the column of a place, from 1."""
        return self.count("\n", 0, place) + 1, place - self.rfind("\n", 0, place)

    def _lexeme(self, place: int) -> str:
        found = _LEXEME.match(self, place)
        return quote_anything(found[0][:MAX_SHOWN]) if found else "the end"

    def _around(self, place: int) -> str:
        start, stop = max(0, place - MAX_SHOWN), place + MAX_SHOWN
        shown = ("…" if start else "") + self[start:stop] + ("…" if stop < len(self) else "")
        return quote_anything(shown)

    def _hint(self) -> str:
        """Guess a "+" that a URL turned into a blank, or a name that needs brackets."""
        place = self.furthest
        if not _NAMED.isdisjoint(self.expected) and _ODD_START.match(self, place):
            return ' (a name that is not an identifier is written in brackets: ["@type"])'
        is_lost_plus = (
            '"+"' in self.expected
            and self[place - 1 : place] in tuple(_BLANKS)
            and _OPERAND_START.match(self, place)
        )
        return ' (in a URL, a "+" is written %2B)' if is_lost_plus else ""


Build: TypeAlias = Callable[..., Any]
Action: TypeAlias = Callable[[Source, int, str], Any]
"""Makes a value of the text that a token matched; it may refuse it, at its place in the source."""


def build(element: pp.ParserElement, make: Build) -> pp.ParserElement:
    """Let an element leave one result: what `make` returns of the results it had."""
    return element.add_parse_action(
        lambda source, place, found: [cast("Source", source).noted(make(*found), place)]
    )


def token(pattern: str, name: str, action: Action | None = None) -> pp.ParserElement:
    """Make a token that matches `pattern`, after blanks, and notes each failure on the source."""
    element = pp.Regex(pattern).set_name(name)
    element.set_fail_action(lambda source, place, _element, _error: cast("Source", source).miss(place, name))
    if action:
        element.set_parse_action(
            lambda source, place, found: [action(cast("Source", source), place, found[0])]
        )
    return element


def mark(text: str, name: str | None = None) -> pp.ParserElement:
    """Make the token of a punctuation mark; it leaves nothing in the results."""
    element = token(re.escape(text), name or f'"{text}"')
    return element.set_parse_action(lambda _source, _place, _found: [])


def word(text: str) -> pp.ParserElement:
    """Make the token of a word."""
    return _word((text,), text)


def keyword(*words: str, name: str | None = None) -> pp.ParserElement:
    """Make the token of one of some words; ``name``: what an error calls them together."""
    return _word(words, name or ", ".join(words))


def series_name(*names: str) -> pp.ParserElement:
    """Make the token of the name of a function of series; it leaves the name and its place."""
    name = f"a function of series ({', '.join(SERIES_FUNCTIONS)})"
    return _word(names, name, lambda _source, place, found: (found, place))


def duration(multiple_of: int = SHORTEST) -> pp.ParserElement:
    """Make the token of a duration, a multiple of so many milliseconds; it leaves its milliseconds."""
    return token(
        r"[0-9]+[\w$]*",
        "a duration such as 15m or 7d",
        lambda source, place, found: _duration(source, place, found, multiple_of),
    )


def either_word(*texts: str) -> pp.ParserElement:
    """Make the token of one of some words."""
    return pp.MatchFirst([word(text) for text in texts])


def operator(*texts: str) -> pp.ParserElement:
    """Make the token of one of some operators of a single character each."""
    return pp.MatchFirst([token(re.escape(text), f'"{text}"') for text in texts])


def reduce_name(*names: str) -> pp.ParserElement:
    """Make the token of the name of a reduce."""
    return _word(names, f"a reduce ({', '.join(reduce_words())})")


def reduce_words() -> list[str]:
    """Return the words that a reduction begins with: the reduces, ``quantiles`` and ``share``."""
    plural = [several(each.name) for each in REDUCES.values() if each.takes_probability]
    return [*REDUCES, *plural, "share"]


def several(name: str) -> str:
    """Return what a reduce with an argument is called where it has several."""
    return f"{name}s"


def filter_name(*names: str) -> pp.ParserElement:
    """Make the token of the name of a filter."""
    return _word(names, f"a filter ({', '.join((*OPERATORS, *CONDITIONS))})")


def function_name(*names: str) -> pp.ParserElement:
    """Make the token of a function's name: a word that an open bracket follows, else it is a field.

    Filters that stand where values do are functions, too.
    """
    return token(rf"(?:{'|'.join(names)})(?=[ \t\n\r]*\()", "a function")


def empty_call(name: str) -> pp.ParserElement:
    """Make the token of a function without arguments, in one piece; it leaves the name."""
    return token(rf"{name}[ \t\n\r]*\([ \t\n\r]*\)", "a function", lambda _source, _place, _found: name)


def each() -> pp.ParserElement:
    """Make the token of the word that an array stands behind in brackets, else it is a field."""
    return token(r"each(?=[ \t\n\r]*\()", "each")


def type_name() -> pp.ParserElement:
    """Make the token of a type."""
    return token(r"[a-z_][a-zA-Z0-9_]*", "a type ([a-z_][a-zA-Z0-9_]*)", _check_type)


def number() -> pp.ParserElement:
    """Make the token of an unsigned number; it leaves an int or a float."""
    return token(_NUMBER, "a number", _number)


def whole_number(most: int) -> pp.ParserElement:
    """Make the token of a whole number from 1 to some bound; it leaves an int."""
    name = f"a whole number from 1 to {most}"

    def read(source: Source, place: int, found: str) -> int:
        value = _parse_number(found)
        if not isinstance(value, int) or not 1 <= value <= most:
            raise source.expecting(place, name)
        return value

    return token(_NUMBER, name, read)


def probability() -> pp.ParserElement:
    """Make the token of the argument of a reduce that takes one: a number from 0 to 1."""
    return token(_NUMBER, _PROBABILITY, _probability)


def identifier(name: str) -> pp.ParserElement:
    """Make the token of a part of a field that stands without brackets."""
    return token(identifier_pattern(), name, _check_composed)


def index() -> pp.ParserElement:
    """Make the token of an index into an array; it leaves an int."""
    return token("[0-9]+", "an index", _index)


def property_name() -> pp.ParserElement:
    """Make the token of a name in brackets, written as a string; it leaves the name."""
    return token(STRING, "a string", _property_name) | token("[\"']", "a string", _refuse_unclosed)


def string() -> pp.ParserElement:
    """Make the token of a string; it leaves what the string stands for."""
    return token(STRING, "a string", unquoted) | token("[\"']", "a string", _refuse_unclosed)


def constant() -> pp.ParserElement:
    """Make the token of true, false or null; it leaves the Python value."""
    values = {"true": True, "false": False, "null": None}
    return _word(tuple(values), "true, false, null", lambda _source, _place, found: values[found])


def truth() -> pp.ParserElement:
    """Make the token of true or false; it leaves the Python value."""
    return _word(("true", "false"), "true, false", lambda _source, _place, found: found == "true")


def empty_array() -> pp.ParserElement:
    """Make the token of an array without elements, in one piece; it leaves ()."""
    return token(r"\[[ \t\n\r]*\]", "an array", lambda _source, _place, _found: ())


def unquoted(source: Source, place: int, found: str) -> Any:
    """Return what a string literal, which begins at a place, stands for; raises `InvalidExpression`."""
    return _unquote(source, place + 1, found[1:-1])


def _word(words: tuple[str, ...], name: str, action: Action | None = None) -> pp.ParserElement:
    return token(rf"(?:{'|'.join(words)})(?![\w$])", name, action)


def _check_type(source: Source, place: int, found: str) -> Any:
    if len(found) > MAX_TYPE_LENGTH:
        raise source.expecting(place, f"a type of at most {MAX_TYPE_LENGTH} characters")
    source.type = found
    return found


def _check_composed(source: Source, place: int, found: str) -> Any:
    if not unicodedata.is_normalized("NFC", found):  # the pattern has seen to the rest
        problem = "Got a name that is not in Unicode's composed form (NFC); in brackets it is taken as it is:"
        raise source.refusal(place, f"{problem} [{quote(found)}],")
    return found


def _property_name(source: Source, place: int, found: str) -> Any:
    name = unquoted(source, place, found)
    if not name:
        raise source.refusal(place, "Got an empty name; accepted is any other text")
    return name


def _number(source: Source, place: int, found: str) -> Any:
    value = _parse_number(found)
    if abs(value) == float("inf"):
        raise source.expecting(place, "a finite number")
    return value


def _probability(source: Source, place: int, found: str) -> Any:
    value = _parse_number(found)
    if value > 1:
        raise source.expecting(place, _PROBABILITY)
    return value


def _duration(source: Source, place: int, found: str, multiple_of: int) -> Any:
    try:
        length = durations.parse(found)
    except InvalidRequest as error:
        raise source.refusal(place, error.message.rstrip(".")) from None
    if length % multiple_of:
        raise source.refusal(place, f"Got the duration {found}, accepted are whole seconds")
    return length


def _index(source: Source, place: int, found: str) -> Any:
    digits = found.lstrip("0") or "0"
    if len(digits) > _MAX_DIGITS or int(digits) > MAX_INTEGER:  # int() refuses thousands of digits
        raise source.expecting(place, f"an index up to {MAX_INTEGER}")
    return int(digits)


def _refuse_unclosed(source: Source, place: int, found: str) -> Any:
    raise source.refusal(place, f"Expected a closing {found} for the string that begins")


def _parse_number(text: str) -> int | float:
    """Return the number that an unsigned JavaScript literal stands for; infinite if it is too large.

    Digits alone are exact up to 64 bits; anything else is the nearest float, as in JavaScript.
    """
    return normal(int(text) if text.isdigit() and len(text) <= _MAX_DIGITS else float(text))


def _unquote(source: Source, place: int, inside: str) -> str:
    r"""Return what the text between two quotes, which begins at a place, stands for.

    Escapes: ``\b \f \n \r \t \v \0 \xHH \uHHHH``; before any other character but a digit, a
    backslash stands for that character. Two halves of a surrogate pair join; half a pair alone is refused.
    """
    if "\\" not in inside and not SURROGATE.search(inside):
        return inside
    parts: list[str] = []
    offset = 0
    while offset < len(inside):
        found = _ESCAPE.match(inside, offset) or _BACKSLASH_RUN.match(inside, offset)
        if found is None:
            raise source.refusal(place + offset, r"Expected an escape such as \n, \x41 or \u0041")
        parts.append(_unescape(found) if found.re is _ESCAPE else found[0])
        offset = found.end()
    try:
        return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise source.refusal(place, "Got half a surrogate pair in the string") from None


def _unescape(found: re.Match[str]) -> str:
    unit, byte, null, other = found.groups()
    if null:
        return "\0"
    return _ESCAPED.get(other, other) if other else chr(int(unit or byte, 16))


def _alternatives(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
