"""What statements for Redshift have that DuckDB has not: functions, and parts of times without quotes.

Statements written for Snowplow's or Datacoral's warehouse run so as they stand, as far as `MACROS` and
`translated` go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

import duckdb

_PARTS: Final = {
    "to_milliseconds": ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    "to_seconds": ("s", "sec", "secs", "second", "seconds"),
    "to_minutes": ("m", "min", "mins", "minute", "minutes"),
    "to_hours": ("h", "hr", "hrs", "hour", "hours"),
    "to_days": ("d", "day", "days"),
    "to_weeks": ("w", "week", "weeks"),
    "to_months": ("mon", "mons", "month", "months"),
    "to_quarters": ("qtr", "qtrs", "quarter", "quarters"),
    "to_years": ("y", "yr", "yrs", "year", "years"),
}
"""Names of parts of times, by DuckDB's function that makes an interval of so many of them."""

_WORDS: Final = frozenset(word for words in _PARTS.values() for word in words) | {"epoch", "dow", "doy"}
_OF_PARTS: Final = frozenset({"dateadd", "datediff", "date_diff", "date_part", "datepart"})
_NOW: Final = "sysdate"
_NAMING: Final = ("alias", "aliases", "column_name_alias")
"""Where DuckDB's tree has the names that a statement gives."""

_SEEN: Final = re.compile("|".join((*_OF_PARTS, _NOW)), re.IGNORECASE)

_LONG: Final = ("to_milliseconds", "to_seconds", "to_minutes", "to_hours")  # take 64 bits, the others 32
# Cut, as Redshift divides whole numbers, where DuckDB makes a fraction of them.
_LONG_COUNT: Final = "trunc(n::DOUBLE)::BIGINT"
_COUNT: Final = "try_cast(trunc(n::DOUBLE) AS INTEGER)"
_INTERVAL: Final = " ".join(
    f"WHEN lower(part) IN {words} THEN {made}({_LONG_COUNT if made in _LONG else _COUNT})"
    for made, words in _PARTS.items()
)
_FORMATS: Final = (
    *(("YYYY", "%Y"), ("MM", "%m"), ("DD", "%d"), ("HH24", "%H"), ("HH12", "%I"), ("HH", "%I")),
    *(("MI", "%M"), ("SS", "%S"), ("MS", "%g"), ("AM", "%p"), ("Mon", "%b"), ("Month", "%B"), ("Day", "%A")),
)


_CALL: Final[dict[str, Any]] = {
    "class": "FUNCTION",
    "type": "FUNCTION",
    "function_name": "getdate",
    "schema": "",
    "catalog": "",
    "filter": None,
    "order_bys": {"type": "ORDER_MODIFIER", "orders": []},
    "distinct": False,
    "is_operator": False,
    "export_state": False,
    "arguments": [],
    "qualified_name": {"path": ["getdate"]},
    "is_legacy_function_call": False,
}
"""DuckDB's tree of a call of ``getdate()``."""

_TIMESTAMP: Final[dict[str, Any]] = {
    "class": "TYPE",
    "type": "TYPE",
    "alias": "",
    "catalog": "",
    "schema": "",
    "type_name": "TIMESTAMP",
    "children": [],
    "qualified_name": {"path": ["TIMESTAMP"]},
}
"""DuckDB's tree of the type."""


def _strftime() -> str:
    text = "format"
    for theirs, ours in sorted(_FORMATS, key=lambda each: -len(each[0])):
        text = f"replace({text}, '{theirs}', '{ours}')"
    return text


MACROS: Final = (
    "getdate() AS now()::TIMESTAMP",
    "nvl(a, b) AS coalesce(a, b), (a, b, c) AS coalesce(a, b, c), (a, b, c, d) AS coalesce(a, b, c, d)",
    "nvl2(a, b, c) AS CASE WHEN a IS NOT NULL THEN b ELSE c END",
    f"dateadd(part, n, t) AS t::TIMESTAMP + CASE {_INTERVAL} ELSE error('no part of a time: ' || part) END",
    (
        "convert_timezone(zone, t) AS timezone(zone, t::TIMESTAMP AT TIME ZONE 'UTC'),"
        " (source, zone, t) AS timezone(zone, t::TIMESTAMP AT TIME ZONE source)"
    ),
    f"to_char(t, format) AS strftime(t, {_strftime()})",
    "charindex(part, whole) AS strpos(whole, part)",
)
"""Functions of Redshift, as DuckDB's own statements say them; each after CREATE MACRO."""


def define(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions that are in no schema of a statement."""
    for macro in MACROS:
        connection.execute(f"CREATE MACRO main.{macro}")


def translated(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """Return a statement with quotes around parts of times, ``dateadd(day, …)``, and a call for ``sysdate``.

    It is the text itself where there is nothing of that, or where it is not one SELECT. A column that is
    called sysdate stays one, of a table or of the statement itself.
    """
    if _SEEN.search(text) is None:
        return text
    [[told]] = connection.execute("SELECT json_serialize_sql($1)", [text]).fetchall()
    tree = json.loads(told)
    listed = "SELECT lower(column_name) FROM duckdb_columns() WHERE NOT internal"
    columns = {name for (name,) in connection.execute(listed).fetchall()}
    columns |= {name for node in _nodes(tree) if _word(node) != _NOW for name in _given(node)}
    if tree.get("error") or sum(_translate(node, columns) for node in _nodes(tree)) == 0:
        return text
    [[made]] = connection.execute("SELECT json_deserialize_sql($1)", [json.dumps(tree)]).fetchall()
    return str(made)


def _translate(node: dict[str, Any], columns: Container[str]) -> bool:
    """Change one node of a syntax tree in place, and tell whether it had to be."""
    if _word(node) == _NOW and _NOW not in columns:
        at = {name: node[name] for name in ("alias", "query_location", "query_location_length")}
        node.clear()
        node.update(_CALL, **at)
        return True
    if node.get("class") != "FUNCTION" or str(node["function_name"]).lower() not in _OF_PARTS:
        return False
    arguments: list[dict[str, Any]] = [each["expression"] for each in node["arguments"]]
    is_changed = _quote(arguments[0]) if arguments else False
    is_added_to = str(node["function_name"]).lower() == "dateadd"  # its second argument is a number
    if not is_added_to and all(_is_text(each) for each in arguments[1:]):  # DuckDB does not guess their type
        for each in arguments[1:]:
            _cast(each)
            is_changed = True
    return is_changed


def _quote(first: dict[str, Any]) -> bool:
    """Make a text of the part of a time, and tell whether it had to be."""
    word = _word(first)
    if word not in _WORDS:
        return False
    del first["column_names"]
    literal = {"kind": "STRING", "text": word}
    first.update({"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": literal})
    return True


def _is_text(node: Mapping[str, Any]) -> bool:
    literal: Mapping[str, Any] = node.get("literal", {}) if node.get("class") == "CONSTANT" else {}
    return literal.get("kind") == "STRING"


def _cast(node: dict[str, Any]) -> None:
    child = dict(node)
    at = {name: node[name] for name in ("alias", "query_location", "query_location_length")}
    node.clear()
    node.update({"class": "CAST", "type": "OPERATOR_CAST", "child": child, "try_cast": False}, **at)
    node["type_expr"] = dict(_TIMESTAMP)


def _word(node: Mapping[str, Any]) -> str | None:
    """Return the name of a column that is only that, in small letters."""
    names: list[Any] = node.get("column_names", []) if node.get("class") == "COLUMN_REF" else []
    return str(names[0]).lower() if len(names) == 1 else None


def _given(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a node gives, in small letters."""
    for key in _NAMING:
        names = node.get(key) or []
        yield from (str(name).lower() for name in ([names] if isinstance(names, str) else names))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
