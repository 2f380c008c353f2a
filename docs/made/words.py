"""The tables of what is written: the command with its options, and the words of the expression language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from cube.cli.main import main
from cube.expression import parse_metric
from cube.expression.completion import ItemKind
from cube.expression.explanation import explain
from cube.expression.functions import FUNCTIONS
from cube.expression.sequence_functions import SEQUENCE_FUNCTIONS
from cube.expression.series_functions import SERIES_FUNCTIONS
from docs.made.pages import code, plain, table
from evaluator.catalog.completions import LANGUAGE

_KINDS: Final = {
    ItemKind.REDUCE: "reduce",
    ItemKind.FILTER: "filter",
    ItemKind.FUNCTION: "function of values",
    ItemKind.GROUP: "group",
    ItemKind.EACH: "group",
    ItemKind.RANKING: "ranking",
    ItemKind.SERIES: "function of series",
    ItemKind.SEQUENCE: "across events",
    ItemKind.SESSION: "across events",
}
_EXAMPLES: Final = {
    "quantile": "quantile(0.95, request(ms))",
    "quantiles": "quantiles(0.5, 0.95, request(ms))",
    "share": "share(request.ge(status, 500))",
    "group": "sum(request).group(host, status)",
    "each": "sum(request).group(each(tags))",
    "top": "sum(request).group(path).top(10)",
    "bottom": "sum(request).group(path).bottom(3)",
    "re": 'sum(request.re(path, "^/api/"))',
    "in": 'sum(request.in(method, ["GET", "HEAD"]))',
    "nin": 'sum(request.nin(method, ["GET", "HEAD"]))',
    "exists": "sum(request.exists(user))",
    "or": "sum(request.or(ge(status, 500), gt(ms, 1000)))",
    "and": "sum(request.or(exists(error), and(ge(status, 500), gt(ms, 1000))))",
    "not": "sum(request.not(exists(user)))",
}
"""Of the words that have no example of their own, and take more than a field, or a field and a number."""


def tables() -> dict[str, str]:
    """Return the tables, by the names that pages have for them."""
    return {
        "commands": table(
            ("command", "arguments and options (default)", "what it does"), _commands(main, "cube")
        ),
        "words of expressions": table(("word", "what it is", "example", "which is"), _words()),
    }


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        else:
            given = ", ".join(map(_parameter, command.params))
            yield code(f"{prefix} {name}"), given, command.get_short_help_str(limit=1_000)


def _parameter(parameter: click.Parameter) -> str:
    if not isinstance(parameter, click.Option):
        return code(parameter.make_metavar(click.Context(main)))
    names = " or ".join(map(code, sorted(parameter.opts, key=len, reverse=True)))
    names += f" {parameter.metavar}" if parameter.metavar else ""
    # What click has in place of none differs between its versions, and is no text or number.
    has_default = isinstance(parameter.default, str | int | float) and not parameter.is_flag
    return f"{names} ({parameter.default})" if has_default and parameter.default != "" else names


def _words() -> Iterator[tuple[str, str, str, str]]:
    for kind, name in _KINDS.items():
        for item in LANGUAGE[kind]():
            word = item["text"].removesuffix("(")
            if item["kind"] == kind:  # a filter is offered as a function as well
                example = _example(kind, word)
                yield code(word), name, code(example), plain(explain(parse_metric(example)))


def _example(kind: ItemKind, word: str) -> str:
    if kind is ItemKind.FILTER:
        return _EXAMPLES.get(word, f"sum(request.{word}(status, 500))")
    if kind is ItemKind.REDUCE:
        return _EXAMPLES.get(word, f"{word}(request(ms))")
    own = FUNCTIONS.get(word) or SERIES_FUNCTIONS.get(word) or SEQUENCE_FUNCTIONS.get(word)
    return _EXAMPLES[word] if own is None else own.example
