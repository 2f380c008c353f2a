"""The routes of definitions: the expressions of an environment that have names, read, saved and deleted.

Changes are those of `evaluator.api.changes`. Every question that begins after one was answered knows of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from cube import json_text
from cube.columns import check
from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied, Conflict, InUse, InvalidRequest, NotFound, described, shown
from cube.expression import parse_metric, print_expression
from cube.expression.definitions import MOST_DEFINITIONS, NAME, Definitions, check_definition_name
from cube.expression.explanation import explain
from cube.model.environment import Caller, Scope
from cube.store.record_ports import NO_REVISION, DefinitionStore, StoredDefinition
from cube.web import Operation, Parameter, Reply, Request, Route, switch
from evaluator.api.changes import (
    CHANGED,
    DELETE_IF,
    SAVE_IF,
    STAMP,
    TAG,
    expected_revision,
    may_write,
    new_revision,
    new_text,
    revision_headers,
    saved_reply,
    stamp,
    writer,
)
from evaluator.api.json_schema import MAYBE_TEXT, TEXT, annotated, array, record
from evaluator.api.service import QueryService, QueryServices
from evaluator.boards.broken import broken_by
from evaluator.scheduling.scheduler import QueryCost

_log = logging.getLogger(__name__)
_BODY: Final = record(expression=annotated(TEXT, "A metric expression."))
_ENTRY: Final = record(
    "expanded explanation error",
    name={"type": "string", "pattern": NAME},
    expression=annotated(TEXT, "As it was written."),
    expanded=annotated(MAYBE_TEXT, "What it stands for; null: not valid."),
    explanation=MAYBE_TEXT,
    error=annotated(MAYBE_TEXT, "Why it stands for nothing."),
    **STAMP,
)
_FORCE: Final = Parameter(
    "force",
    "Change it even where that leaves other definitions, or boards, with expressions that are not valid.",
    {"type": "string", "enum": ["true", "false"], "default": "false"},
)
_REFUSED: Final = {409: "Others would be broken: definitions, boards.", **CHANGED}


class DefinitionRoutes:
    """Answers them; ``services``: of all environments."""

    def __init__(self, services: QueryServices) -> None:
        self._services = services

    async def list(self, request: Request) -> Reply:
        """Answer with the definitions, by name; of a key with types or a filter those that it may ask for."""
        caller = request.admitted
        entries = await self._entries(caller, await self._store(caller).all())
        return Reply.json({"definitions": entries, "writable": may_write(caller)})

    async def get(self, request: Request) -> Reply:
        """Answer with one definition, and its revision as ``ETag``."""
        caller, name = request.admitted, request.captures["name"]
        entries = await self._entries(caller, await self._store(caller).all())
        for entry in entries:
            if entry["name"] == name:
                return Reply(json_text.encode(entry), headers=revision_headers(entry["revision"]))
        raise NotFound(f"There is no definition {shown(name)}.")

    async def put(self, request: Request) -> Reply:
        """Save a definition at a revision; refused where it is not valid, circular, or breaks others."""
        caller, name = writer(request, "definitions"), check_definition_name(request.captures["name"])
        expected, text = expected_revision(request), _text(request.body)
        is_forced = switch(request.parameters(), "force")
        service, store = self._services.of(caller), self._store(caller)
        others = await service.definitions()
        await service.context.scheduler.run(QueryCost(), _check, others.with_one(name, text), name)
        if name in others and not is_forced:
            await _refuse_broken(service, name, others, others.with_one(name, text), "changed")
        stored, before = new_text(name, text, caller, service.context.clock()), await store.find(name)
        await store.save(stored, expected, MOST_DEFINITIONS)
        await _confirm_change(service, stored, before, is_forced=is_forced)
        told = (caller.who, name, caller.environment.name, stored.revision)
        _log.info("%s defined %s of %s at revision %d", *told)
        tree = await service.context.scheduler.run(QueryCost(), others.with_one(name, text).tree, name)
        return saved_reply(_entry(stored, print_expression(tree), explain(tree), None), expected)

    async def delete(self, request: Request) -> Reply:
        """Delete a definition at a revision; refused where others use it."""
        caller, name = writer(request, "definitions"), request.captures["name"]
        service, expected = self._services.of(caller), expected_revision(request)
        is_forced = switch(request.parameters(), "force")
        others = await service.definitions()
        if name in others and not is_forced:
            await _refuse_broken(service, name, others, others.without(name), "deleted")
        store = self._store(caller)
        before = await store.find(name)
        await store.delete(name, expected)
        if before is not None and not is_forced:
            await _confirm_deletion(service, before)
        _log.info("%s deleted the definition %s of %s", caller.who, name, caller.environment.name)
        return Reply(b"", HTTPStatus.NO_CONTENT)

    def routes(self) -> tuple[Route, ...]:
        listed = {"type": "object", "properties": {"definitions": array(_ENTRY)}}
        scope = Scope.READ
        return (
            Route(
                "/1.0/definitions",
                {
                    "GET": Operation(
                        self.list, "List expressions that have names.", result=listed, scope=scope
                    )
                },
            ),
            Route(
                "/1.0/definitions/{name}",
                {
                    "GET": Operation(self.get, "Read a definition.", result=_ENTRY, headers=TAG, scope=scope),
                    "PUT": Operation(
                        self.put,
                        "Define a name, at the revision of If-Match, or a new one with If-None-Match: *.",
                        (_FORCE, *SAVE_IF),
                        headers=TAG,
                        body=_BODY,
                        replies={200: "It is changed.", 201: "It is made.", **_REFUSED},
                        result=_ENTRY,
                        scope=scope,
                    ),
                    "DELETE": Operation(
                        self.delete,
                        "Delete a definition, at the revision of If-Match.",
                        (_FORCE, *DELETE_IF),
                        replies={204: "It is deleted.", **_REFUSED},
                        scope=scope,
                    ),
                },
            ),
        )

    async def _entries(self, caller: Caller, stored: Sequence[StoredDefinition]) -> Sequence[dict[str, Any]]:
        service = self._services.of(caller)
        run = service.context.scheduler.run
        return await run(QueryCost(), _told, stored, service.restriction)

    def _store(self, caller: Caller) -> DefinitionStore:
        return self._services.of(caller).context.store.definitions


def _text(body: bytes) -> str:
    raw = json_text.decode(body)
    text = raw.get("expression") if isinstance(raw, dict) else None
    if not isinstance(text, str):
        raise InvalidRequest(f'Got {described(raw)}; accepted is {{"expression": "sum(request)"}}.')
    return text


async def _refuse_broken(
    service: QueryService, name: str, before: Definitions, after: Definitions, done: str
) -> None:
    """Raise `InUse` where others are not valid any more that were."""
    boards = {each.name: each.content for each in await service.context.store.boards.all()}
    found = await service.context.scheduler.run(QueryCost(), broken_by, name, before, after, boards)
    found.refuse(f"The definition of {name} is not {done}")


async def _confirm_change(
    service: QueryService, stored: StoredDefinition, before: StoredDefinition | None, *, is_forced: bool
) -> None:
    """Take a change back that another one, saved since it was checked, has left without meaning.

    Of two that do not go together whoever reads later sees both; where each does, both are taken back.
    """
    store, name = service.context.store.definitions, stored.name
    now = await service.definitions()
    if now.texts.get(name) != stored.content:  # whoever has changed it has checked it since
        return
    try:
        await service.context.scheduler.run(QueryCost(), _check, now, name)
        if before is not None and not is_forced:
            await _refuse_broken(service, name, now.with_one(name, before.content), now, "changed")
    except InvalidRequest:
        with suppress(Conflict):  # changed meanwhile: it is as another has left it
            if before is None:
                await store.delete(name, stored.revision)
            else:
                again = replace(before, revision=new_revision())
                await store.save(again, stored.revision, MOST_DEFINITIONS)
        raise


async def _confirm_deletion(service: QueryService, before: StoredDefinition) -> None:
    """Take a deletion back that leaves what was saved since it was checked without meaning."""
    now = await service.definitions()
    if before.name in now:
        return
    try:
        await _refuse_broken(service, before.name, now.with_one(before.name, before.content), now, "deleted")
    except InUse:
        with suppress(Conflict):  # made anew meanwhile
            again = replace(before, revision=new_revision())
            await service.context.store.definitions.save(again, NO_REVISION, MOST_DEFINITIONS)
        raise


def _check(definitions: Definitions, name: str) -> None:
    """Refuse a definition that is not valid where it stands, or that makes another one circular."""
    text = definitions.texts[name]
    check(parse_metric(text, definitions), None)
    definitions.tree(name)


def _told(stored: Sequence[StoredDefinition], restriction: Restriction | None) -> Sequence[dict[str, Any]]:
    definitions = Definitions({each.name: each.content for each in stored})
    entries: list[dict[str, Any]] = []
    hides = restriction is not None and restriction.hides
    for each in stored:
        try:
            tree = definitions.tree(each.name)
            if restriction is not None:
                restriction.metric(tree)
        except AccessDenied:
            continue
        except InvalidRequest as error:
            if not hides:
                entries.append(_entry(each, None, None, error.message))
            continue
        visible = replace(each, by="") if hides else each
        entries.append(_entry(visible, print_expression(tree), explain(tree), None))
    return entries


def _entry(
    stored: StoredDefinition, expanded: str | None, explanation: str | None, error: str | None
) -> dict[str, Any]:
    return {
        "name": stored.name,
        "expression": stored.content,
        "expanded": expanded,
        "explanation": explanation,
        "error": error,
        **stamp(stored),
    }
