"""``POST /1.0/sql``: one statement of SQL, where that is switched on."""

from __future__ import annotations

import json
from typing import Any, Final, Self

from cube import json_text
from cube.errors import CubeError, InvalidQuery, NotFound, described
from cube.model.environment import Scope
from cube.web import Operation, Reply, Request, Route
from evaluator.api.json_schema import TEXT, annotated, array, record
from evaluator.sql.formats import JSON, NAMES, read_format
from evaluator.sql.service import SqlService
from evaluator.sql.statement import StatementRun

COLUMNS_HEADER: Final = "Cube-Columns"
"""The names and types of an answer's columns, as JSON in ASCII, where it is not too long."""

_HEADER_BYTES: Final = 8_000
_BODY: Final = record(
    "format",
    statement=annotated(TEXT, "One SELECT, in DuckDB's SQL."),
    format={
        "type": "string",
        "enum": [*NAMES],
        "description": "The answer's; else as the header Accept asks for it.",
    },
)
_ROWS: Final = array({"type": "object"})


class SqlRoute:
    """Answers it; ``service`` None: it is switched off."""

    def __init__(self, service: SqlService | None) -> None:
        self._service = service

    async def post(self, request: Request) -> Reply:
        """Run a statement, and answer with its rows as they come."""
        service = self._service
        if service is None:
            raise NotFound(
                "SQL is switched off here; accepted is an evaluator with sql.enabled = true"
                " (CUBE_SQL_ENABLED=true in its environment)."
            )
        statement, name = _read(request.body)
        format = read_format(name, request.headers.get("Accept", ""))
        try:
            run = await service.run(request.admitted, statement, format)
        except CubeError:
            service.counted("refused")
            raise
        columns = json.dumps([{"name": name, "type": type} for name, type in run.columns])
        told = ((COLUMNS_HEADER, columns),) if len(columns) <= _HEADER_BYTES else ()
        return Reply(b"", 200, format, told, _Parts(service, run))

    def route(self) -> Route:
        operation = Operation(
            self.post,
            "Run one SELECT over the events, in a table for each type; where sql.enabled is set, else 404.",
            body=_BODY,
            result=_ROWS,
            content_type=JSON,
            other_types=tuple(kind for kind in NAMES.values() if kind != JSON),
            headers={
                COLUMNS_HEADER: "The names and types of the columns, as JSON, where it is not too long."
            },
            scope=Scope.READ,
        )
        return Route("/1.0/sql", {"POST": operation})


class _Parts:
    """The parts of an answer, counted at its end."""

    def __init__(self, service: SqlService, run: StatementRun) -> None:
        self._service = service
        self._run = run
        self._outcome = "cut"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._run)
        except StopAsyncIteration:
            self._outcome = "answered"
            raise

    async def aclose(self) -> None:
        self._service.counted(self._outcome)
        await self._run.aclose()


def _read(body: bytes) -> tuple[str, str | None]:
    """Return the statement of a body, and its format; raises `InvalidRequest`."""
    raw: Any = json_text.decode(body)
    statement = raw.get("statement") if isinstance(raw, dict) else None
    if not isinstance(statement, str):
        raise InvalidQuery(
            f'Got {described(raw)}; accepted is an object with a text "statement".', field="statement"
        )
    name = raw.get("format")
    if name is not None and not isinstance(name, str):
        raise InvalidQuery(
            f"Got the format {described(name)}; accepted is one of {', '.join(NAMES)}.", field="format"
        )
    return statement, name
