"""What DuckDB's errors mean to whoever asked: one sentence, or what a statement did not know of."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

from cube.errors import CubeError, InvalidQuery
from evaluator.query.limits import LimitExceeded

_UNKNOWN_COLUMN: Final = re.compile(
    r'Referenced column "((?:[^"]|"")+)" not found|does not have a column named "((?:[^"]|"")+)"'
)
_UNKNOWN_MEMBER: Final = re.compile(r'Could not find key "(?:[^"]|"")+" in struct')
_UNKNOWN_TABLE: Final = re.compile(r"Table with name (.+) does not exist")


def missing_column(text: str) -> str | None:
    """Return the name of the column that an error says there is not."""
    found = _UNKNOWN_COLUMN.search(text)
    return None if found is None else (found[1] or found[2]).replace('""', '"')


def misses_a_member(text: str) -> bool:
    """Tell whether an error says that an object has not a member."""
    return _UNKNOWN_MEMBER.search(text) is not None


def over_memory(limit: int) -> LimitExceeded:
    """Return the error of a statement that needs more bytes of memory than it may have."""
    return LimitExceeded(
        f"The statement needs more than {limit} bytes of memory, which is the limit: take fewer rows, columns"
        " or groups.",
        reason="memory",
    )


def refusal(text: str, kind: str, memory_bytes: int, names: Sequence[str]) -> CubeError:
    """Return the error of a statement, as one sentence with DuckDB's own reason.

    ``kind``: the name of DuckDB's class; ``names``: the types that there are, for hints.
    """
    if kind == "Refused":
        return InvalidQuery(text, field="statement")
    if kind == "OutOfMemoryException":
        return over_memory(memory_bytes)
    lines = [line.strip() for line in text.partition("\n\nLINE ")[0].splitlines() if line.strip()]
    reason = lines[0].rstrip("!.") if lines else kind
    hints = [line.rstrip("?!.") for line in lines[1:] if line.startswith(("Did you mean", "Candidate"))]
    table = _UNKNOWN_TABLE.search(reason)
    if table is not None:
        wanted = table[1].rpartition(".")[2].strip('"')
        near = difflib.get_close_matches(wanted, names, 3, 0.5) or list(names[:5])
        hints = [f"the types are {', '.join(near)}" if near else "there are no events yet"]
    more = f" ({'; '.join(hints)})" if hints else ""
    return InvalidQuery(f"DuckDB refuses the statement: {_shown(reason)}{more}.", field="statement")


def _shown(reason: str) -> str:
    """Return a reason of DuckDB's, cut where it is very long."""
    return reason if len(reason) <= 500 else f"{reason[:500]}…"
