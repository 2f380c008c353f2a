"""What an error adds where a function may not be known: how it is written, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cube.expression.sequence_functions import FUNNEL, RETENTION, SESSION
from cube.expression.series_functions import SERIES_FUNCTIONS

_PIECE = re.compile(r"""(?s)"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|(?P<name>\.?[ \t\n\r]*[\w$]+)|.""")
_WORD = re.compile(r"[\w$]+")
_COMPARED = re.compile(r"(?:[\w$]+[ \t\n\r]*)?[<>=!]")
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdw]))+(?![\w$])", re.ASCII)

_FORMS: Final[Mapping[str, str]] = {
    **{name: f"{name} is written as in {each.example}" for name, each in SERIES_FUNCTIONS.items()},
    FUNNEL.name: f"a funnel has a key, a window and two steps or more, as in {FUNNEL.example}",
    RETENTION.name: f"a retention has a key, a period, how many, and its steps, as in {RETENTION.example}",
    SESSION.name: f"sessions are of events, with a key and a gap, as in {SESSION.example}",
}
_GROUPING: Final = "groups stand behind a reduction, as in sum(request).group(path)"
_RANKING: Final = "a ranking chooses among groups, as in sum(request).group(path).top(5)"
_COMPARISON: Final = "events are compared by a filter, as in sum(request.ge(status, 500))"
_MEAN: Final = "the average is written as in mean(request(ms))"
_QUANTILE: Final = "a quantile is written as in quantile(0.95, request(ms))"
_DISTINCT: Final = "different values are counted as in distinct(request(user))"
_MISPLACED: Final = {
    "session": _FORMS[SESSION.name],
    "group": _GROUPING,
    "top": _RANKING,
    "bottom": _RANKING,
}
_ELSEWHERE: Final = {
    **dict.fromkeys(("avg", "average"), _MEAN),
    **dict.fromkeys(("p50", "p75", "p90", "p95", "p99", "percentile", "percentiles"), _QUANTILE),
    **dict.fromkeys(("uniq", "unique", "count_distinct", "cardinality"), _DISTINCT),
    **dict.fromkeys(("rate", "increase", "irate"), _FORMS["per"]),
    **dict.fromkeys(("topk", "bottomk"), _RANKING),
    "offset": _FORMS["shift"],
    "by": _GROUPING,
    "where": _COMPARISON,
}
"""What other languages have, and how it is written here."""


def usage(text: str, place: int) -> str:
    """Return how a function is written that is written wrongly around a place of a text; "" if none is."""
    found = _WORD.match(text, place)
    name = _call_around(text[:place])
    if found is not None and found[0] in _MISPLACED and (name or found[0] != "group"):
        return _MISPLACED[found[0]]
    if (elsewhere := usage_of_foreign(text, place)) != "":
        return elsewhere
    if name == SESSION.name and _DURATION.search(text, text.find("(") + 1) is None:
        return ""  # a type may be called so
    return _FORMS.get(name.removeprefix("."), "")


def usage_of_foreign(text: str, place: int) -> str:
    """Return how is written here what another language has at a place of a text; "" if it is none such."""
    if _COMPARED.match(text, place):
        return _COMPARISON
    found = _WORD.match(text, place)
    return _ELSEWHERE.get(found[0], "") if found is not None else ""


def _call_around(before: str) -> str:
    """Return the name of the call whose arguments a text ends within, with a dot where one is before it."""
    names, last = [""], ""
    for piece in _PIECE.finditer(before):
        if piece["name"] is not None:
            last = "".join(piece["name"].split())
            continue
        if piece[0] == "(":
            names.append(last)
        elif piece[0] == ")" and len(names) > 1:
            names.pop()
        last = last if piece[0].isspace() else ""
    return names[-1]
