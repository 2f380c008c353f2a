"""The tokens of the grammar, each with the name that an error gives it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import pyparsing as pp

from cube.errors import InvalidRequest
from cube.expression.operators import CONDITIONS, OPERATORS
from cube.expression.printer import normal, quote
from cube.expression.reduce_names import reduce_words
from cube.expression.series_functions import SERIES_FUNCTIONS, SHORTEST
from cube.expression.source import Source
from cube.expression.string_literals import STRING, unquoted
from cube.model import duration as durations
from cube.model.event import MAX_INTEGER, MAX_TYPE_LENGTH
from cube.model.property import identifier_pattern

_MAX_DIGITS = len(str(MAX_INTEGER))
_PROBABILITY = "a number from 0 to 1"
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_NUMBER = rf"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?{_EXPONENT}|\.[0-9]+{_EXPONENT}"
_ALONE = r"(?![ \t\n\r]*[-+*/])"

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


def lone_number() -> pp.ParserElement:
    """Make the token of an unsigned number with which no arithmetic begins."""
    return token(rf"(?>{_NUMBER}){_ALONE}", "a number", _number)


def lone_negative() -> pp.ParserElement:
    """Make the token of a minus and such a number; it leaves the number."""
    pattern = rf"-[ \t\n\r]*(?>{_NUMBER}){_ALONE}"
    return token(pattern, '"-"', lambda source, place, found: _number(source, place, found[1:].lstrip()))


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


def _word(words: tuple[str, ...], name: str, action: Action | None = None) -> pp.ParserElement:
    return token(rf"(?:{'|'.join(words)})(?![\w$])", name, action)


def _check_type(source: Source, place: int, found: str) -> Any:
    if len(found) > MAX_TYPE_LENGTH:
        raise source.expecting(place, f"a type of at most {MAX_TYPE_LENGTH} characters")
    source.type, source.of_sessions = found, False
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
