"""Actions of Elasticsearch's ``_bulk``, each with its document, and the events that they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from collector.protocols.shared.dialect import Draft
from collector.protocols.shared.values import Occurrences, hashed
from cube.errors import InvalidRequest, described
from cube.json_text import decode_leniently
from cube.model import instant
from cube.model.event import ABSENT
from cube.web import Request

TIMES: Final = ("@timestamp", "time", "timestamp", "timereported")
STORED: Final = ("index", "create")

_OPERATIONS: Final = ("index", "create", "update", "delete")
_LONGEST_ID: Final = 200
_TRIES: Final = "attempts"  # a property that winston-elasticsearch puts beside an action
_DATED: Final = re.compile(r"(.+?)[-_.]\d{4}[-.]\d{2}(?:[-.]\d{2})?", re.ASCII)
_DATA_STREAM: Final = re.compile(r"\.ds-(.+)-\d{4}\.\d{2}\.\d{2}-\d{6}", re.ASCII)
_GENERATION: Final = re.compile(r"(.+)-\d{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a request, and its document; ``wrong``: why they cannot be read."""

    operation: str
    index: str
    id: str | None
    document: Any = None
    wrong: str = ""
    source: Any = None
    is_retried: bool = False

    def draft(self, seen: Occurrences) -> Draft:
        """Make the event of a document. Raises `InvalidRequest`."""
        if self.wrong:
            raise InvalidRequest(self.wrong)
        if self.operation not in STORED:
            raise InvalidRequest(f"Got the action {self.operation}; accepted are {' and '.join(STORED)}.")
        if not isinstance(self.document, dict):
            raise InvalidRequest(f"Got {described(self.document)} as a document; accepted is an object.")
        time, used = _time(self.document)
        data = {name: value for name, value in self.document.items() if name != used}
        return Draft(base_name(self.index), time=time, id=self._id(time, seen), data=data, source=self.source)

    def _id(self, time: Any, seen: Occurrences) -> Any:
        if self.id is not None:
            id = f"{self.index}/{self.id}"
            return id if len(id) <= _LONGEST_ID else hashed([self.index, self.id])
        return ABSENT if time is ABSENT else seen.own(hashed([self.index, self.document]))


def base_name(index: str) -> str:
    """Return an index's name without its date and generation: ``logs-2026.11.28`` is logs."""
    for form in (_DATA_STREAM, _GENERATION, _DATED):
        found = form.fullmatch(index)
        if found is not None:
            index = found[1]
    return index


def read(request: Request, *, reads_documents: bool = True) -> Iterator[Action]:
    """Pair the lines of a body, without blank ones; one that cannot be read takes its document along."""
    default = request.captures.get("index", "")
    lines = (line.rstrip(b"\n") for line in BytesIO(request.body) if line.strip())
    held: bytes | None = None
    while True:
        line = held if held is not None else next(lines, None)
        held = None
        if line is None:
            return
        operation, named = _action(line)
        if operation == "delete":
            yield _named(operation, named, default, source=text_of(line))
            continue
        document = next(lines, None)
        if not operation and document is not None and _action(document)[0]:
            held, document = document, None
        yield _paired(operation, named, default, line, document, reads_documents=reads_documents)


def _action(line: bytes) -> tuple[str, Mapping[str, Any]]:
    """Return the operation of a line that is an action, and what it names; "" for another line."""
    with suppress(InvalidRequest):
        found = decode_leniently(line)
        for operation in _OPERATIONS:
            named = found.get(operation) if isinstance(found, dict) else None
            if isinstance(named, dict) and set(found) <= {operation, _TRIES}:
                return operation, {**named, **{name: found[name] for name in (_TRIES,) if name in found}}
    return "", {}


def _named(operation: str, named: Mapping[str, Any], default: str, **rest: Any) -> Action:
    index, id = named.get("_index") or default, named.get("_id")
    wrong = rest.pop("wrong", "")
    if not wrong and not (isinstance(index, str) and index):
        wrong = f"Got {described(index)} as the index of an action; accepted is a name."
    text = None if id is None or id == "" else str(id)
    return Action(operation, str(index), text, wrong=wrong, is_retried=_TRIES in named, **rest)


def _paired(
    operation: str,
    named: Mapping[str, Any],
    default: str,
    line: bytes,
    document: bytes | None,
    *,
    reads_documents: bool,
) -> Action:
    source = text_of(line if document is None else b"%s\n%s" % (line, document))
    if not operation:
        wrong = f"Got a line that is no action; accepted are {', '.join(_OPERATIONS)}."
        return _named("index", named, default or "unknown", wrong=wrong, source=source)
    if document is None:
        return _named(operation, named, default, wrong="The action has no document.", source=source)
    if not reads_documents:
        return _named(operation, named, default, source=source)
    try:
        content = decode_leniently(document)
    except InvalidRequest as error:
        return _named(operation, named, default, wrong=error.message, source=source)
    return _named(operation, named, default, document=content, source=content)


def _time(document: Mapping[str, Any]) -> tuple[Any, str | None]:
    for name in TIMES:
        with suppress(InvalidRequest):  # a property of that name may be something else
            time = instant.parse_any_unit(document.get(name))
            if time >= instant.EARLIEST_PLAUSIBLE or name == TIMES[0]:
                return time, name
    return ABSENT, None


def text_of(line: bytes) -> str:
    """Return a line as text, each byte that is not UTF-8 as a mark."""
    return line.decode(errors="replace")
