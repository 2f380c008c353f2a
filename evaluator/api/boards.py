"""The routes of boards: all of an environment, and one, read, saved at a revision, and deleted.

Changes are those of `evaluator.api.changes`.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

from cube import json_text
from cube.columns.key_filter import Restriction
from cube.errors import CubeError, NotFound
from cube.expression.definitions import Definitions
from cube.model.board import MOST_BOARDS, NAME, Board, BoardSummary, check_name
from cube.model.environment import Caller, Scope
from cube.store.record_ports import BoardStore, StoredBoard
from cube.web import Operation, Reply, Request, Route
from evaluator.api.changes import (
    CHANGED,
    DELETE_IF,
    READ_IF,
    SAVE_IF,
    STAMP,
    TAG,
    expected_revision,
    is_known,
    is_restricted,
    may_write,
    new_text,
    revision_headers,
    saved_reply,
    stamp,
    writer,
)
from evaluator.api.json_schema import FLAG, TEXT, array, record
from evaluator.api.service import QueryServices
from evaluator.boards.refresher import BoardRefresher
from evaluator.boards.visible import visible
from evaluator.scheduling.scheduler import QueryCost

_log = logging.getLogger(__name__)
_BOARD: Final = {"type": "object", "description": "A board, as docs/reference.md describes it."}
_ENTRY: Final = record(
    "charts",
    name={"type": "string", "pattern": NAME},
    title=TEXT,
    charts={"type": "integer"},
    **STAMP,
)
_ONE: Final = {
    "type": "object",
    "properties": {
        **_ENTRY["properties"],
        "board": _BOARD,
        "hidden": {"type": "integer", "description": "Charts that the key may not ask for."},
        "writable": FLAG,
    },
}


class Boards:
    """Answers them; ``services``: of all environments. ``refresher``: is told which boards are opened."""

    def __init__(self, services: QueryServices, refresher: BoardRefresher) -> None:
        self._services = services
        self._refresher = refresher

    async def list(self, request: Request) -> Reply:
        """Answer with the boards, by name; a key with types or a filter has to know a board's name."""
        caller = request.admitted
        stored = [] if is_restricted(caller) else await self._store(caller).all()
        run = self._services.of(caller).context.scheduler.run
        entries = await run(QueryCost(), lambda: [_entry(one) for one in stored])
        return Reply.json({"boards": entries, "writable": may_write(caller)})

    async def get(self, request: Request) -> Reply:
        """Answer with one board, as much of it as the key may see, and its revision as ``ETag``."""
        caller, name = request.admitted, check_name(request.captures["name"])
        stored = await self._store(caller).find(name)
        answer = None if stored is None else await self._shown(caller, stored)
        if stored is None or answer is None:
            raise NotFound(f"There is no board {name}.")
        service = self._services.of(caller)
        self._refresher.note_opened(
            caller.environment.name, stored, service.context.clock(), service.restriction
        )
        headers = revision_headers(stored.revision)
        if is_known(request, stored.revision):
            return Reply(b"", HTTPStatus.NOT_MODIFIED, headers=headers)
        return Reply(json_text.encode(answer), headers=headers)

    async def put(self, request: Request) -> Reply:
        """Save a board at a revision; answers with the new one."""
        caller, name = writer(request, "boards"), check_name(request.captures["name"])
        expected = expected_revision(request)
        board = Board.parse(request.body)
        stored = new_text(name, board.text(), caller, self._services.of(caller).context.clock())
        await self._store(caller).save(stored, expected, MOST_BOARDS)
        told = (caller.who, name, caller.environment.name, stored.revision)
        _log.info("%s saved the board %s of %s at revision %d", *told)
        return saved_reply(_entry(stored), expected)

    async def delete(self, request: Request) -> Reply:
        caller, name = writer(request, "boards"), check_name(request.captures["name"])
        await self._store(caller).delete(name, expected_revision(request))
        _log.info("%s deleted the board %s of %s", caller.who, name, caller.environment.name)
        return Reply(b"", HTTPStatus.NO_CONTENT)

    def routes(self) -> tuple[Route, ...]:
        listed = {"type": "object", "properties": {"boards": array(_ENTRY)}}
        scope = Scope.READ
        return (
            Route("/1.0/boards", {"GET": Operation(self.list, "List boards.", result=listed, scope=scope)}),
            Route(
                "/1.0/boards/{name}",
                {
                    "GET": Operation(
                        self.get,
                        "Read a board.",
                        READ_IF,
                        replies={200: "The board.", 304: "The client has it."},
                        result=_ONE,
                        headers=TAG,
                        scope=scope,
                    ),
                    "PUT": Operation(
                        self.put,
                        "Save a board, at the revision of If-Match, or a new one with If-None-Match: *.",
                        SAVE_IF,
                        headers=TAG,
                        body=_BOARD,
                        replies={200: "It is saved.", 201: "It is made.", **CHANGED},
                        result=_ENTRY,
                        scope=scope,
                    ),
                    "DELETE": Operation(
                        self.delete,
                        "Delete a board, at the revision of If-Match.",
                        DELETE_IF,
                        replies={204: "It is deleted.", **CHANGED},
                        scope=scope,
                    ),
                },
            ),
        )

    async def _shown(self, caller: Caller, stored: StoredBoard) -> dict[str, Any] | None:
        """Return what a caller may see of a board; None where that is none of its charts."""
        service = self._services.of(caller)
        answer = {**_entry(stored), "hidden": 0, "writable": may_write(caller)}
        if service.restriction is None or not is_restricted(caller):
            return {**answer, "board": json_text.decode(stored.content)}
        run = service.context.scheduler.run
        definitions = await service.definitions()
        found = await run(QueryCost(), _visible, stored.content, service.restriction, definitions)
        if found is None:
            return None
        board, hidden = found
        charts = len(board.charts)
        return {
            **answer,
            "by": "",
            "charts": charts,
            "hidden": hidden,
            "board": json_text.decode(board.text()),
        }

    def _store(self, caller: Caller) -> BoardStore:
        return self._services.of(caller).context.store.boards


def _visible(content: str, restriction: Restriction, definitions: Definitions) -> tuple[Board, int] | None:
    """Return what may be seen of a board, and how many charts may not; None where none may."""
    try:
        board = Board.parse(content)
    except CubeError:  # of a later version
        return None
    seen = visible(board, restriction, definitions)
    return (seen, len(board.charts) - len(seen.charts)) if seen.charts else None


def _entry(stored: StoredBoard) -> dict[str, Any]:
    summary = BoardSummary.read(stored.content)
    return {
        "name": stored.name,
        "title": summary.title or stored.name,
        "charts": len(summary.charts),
        **stamp(stored),
    }
