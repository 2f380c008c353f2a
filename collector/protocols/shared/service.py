"""Dialects served: from a foreign request to stored events, and the reply that its client needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from collector.ingest.intake import Intake
from collector.protocols.shared.context import GROWTH, Desk
from collector.protocols.shared.dead_letters import MAX_PAYLOAD_BYTES, dead_letters
from collector.protocols.shared.dialect import (
    Context,
    Dialect,
    Draft,
    Endpoint,
    Read,
    Refusal,
    Translate,
    Translation,
)
from collector.protocols.shared.drafts import Checked, check, refused
from collector.protocols.shared.memory import Memory
from collector.protocols.shared.reading import Reading
from collector.protocols.shared.redaction import Redaction
from collector.protocols.shared.storing import store
from collector.protocols.shared.threads import Turns, aside
from collector.protocols.shared.type_names import TypeNames
from cube.errors import CubeError, InvalidEvent, InvalidRequest, TooLarge
from cube.model.environment import Caller, Credentials, Scope
from cube.model.event import Event
from cube.web import Operation, Reply, Request, Route, standard_credentials

_DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)


def dialect_routes(dialects: Iterable[Dialect], desk: Desk) -> list[Route]:
    """Return the routes of some dialects."""
    reading = Reading(desk.bounds)
    return [route for dialect in dialects for route in DialectService(dialect, desk, reading).routes()]


class DialectService:
    """Answers the requests of one dialect.

    Translations of one environment run one after another, in order of arrival: what the dialect
    remembers is never seen half changed.
    """

    def __init__(self, dialect: Dialect, desk: Desk, reading: Reading) -> None:
        self._dialect = dialect
        self._desk = desk
        self._reading = reading
        self._figures = desk.figures.of(dialect.name)
        self._sides = {
            name: _Side(TypeNames(dialect.name, store.names, desk.types), Memory(), Turns())
            for name, store in desk.stores.items()
        }

    def routes(self) -> list[Route]:
        """Return the routes of the dialect's endpoints."""
        return [self._route(endpoint) for endpoint in self._dialect.endpoints]

    def _route(self, endpoint: Endpoint) -> Route:
        reads = {
            method: replace(
                self._operation(endpoint, method, partial(self._read, read)),
                parameters=endpoint.parameters,
                admit=partial(self._admit_head, Scope.READ),
            )
            for method, read in endpoint.reads.items()
        }
        writes = {
            method: self._operation(endpoint, method, partial(self._write, translate))
            for method, translate in endpoint.translate.items()
        }
        return Route(
            endpoint.path,
            {**reads, **writes},
            options=endpoint.options,
            refuse=self._dialect.refuse,
            foreign=True,
        )

    def _operation(self, endpoint: Endpoint, method: str, answer: Callable[[Request], Any]) -> Operation:
        return Operation(
            partial(self._counted, answer),
            endpoint.summary,
            body=None if method == "GET" else endpoint.body,
            admit=partial(self._admit_head, Scope.WRITE),
            credentials=True,
            bury=None if self._dialect.bury is None else partial(self._counted, self._bury),
        )

    async def _counted(self, answer: Callable[..., Any], *arguments: Any) -> Reply:
        try:
            reply: Reply = await answer(*arguments)
        except CubeError as error:
            self._figures.failed(error)
            raise
        return reply

    async def _read(self, read: Read, request: Request) -> Reply:
        caller, _ = await self._admit(request, Scope.READ)
        name = caller.environment.name
        asked = read(request, self._context(caller, self._desk.clock()))
        if isinstance(asked, Reply):
            return asked
        return await self._reading.answer(asked, self._desk.stores[name].events, caller)

    async def _write(self, translate: Translate, request: Request) -> Reply:
        async with self._desk.decoding.of(len(request.body)):
            return await self._take(translate, request)

    async def _take(self, translate: Translate, request: Request) -> Reply:
        caller, credentials = await self._admit(request, Scope.WRITE)
        name, now = caller.environment.name, self._desk.clock()
        intake = self._desk.intakes[name]
        intake.check()
        letters = self._letters(credentials, now, request)
        try:
            translation = await self._translated(translate, request, caller, now)
            checked = await self._checked(translation.drafts, request, caller, now)
        except InvalidRequest as error:
            intake.refused(error)
            if not isinstance(error, TooLarge):  # what was too much may come in smaller parts
                await self._store(name, Checked(refusals=[_whole(request, error)]), letters)
            raise
        self._count(translation.refusals, checked, intake)
        checked.refusals[:0] = translation.refusals
        spooled = await self._store(name, checked, letters)
        return _told(translation.reply(checked.refusals), spooled)

    async def _translated(
        self, translate: Translate, request: Request, caller: Caller, now: int
    ) -> Translation:
        turns = self._sides[caller.environment.name].turns
        translation = await turns.take(request, translate, request, self._context(caller, now))
        count, bound = len(translation.drafts), self._desk.limits.events
        if count > bound:
            raise TooLarge(f"Got {count} events; accepted are {bound} in one request.")
        return translation

    async def _checked(self, drafts: Sequence[Draft], request: Request, caller: Caller, now: int) -> Checked:
        name = caller.environment.name
        types = await self._sides[name].names.name(drafts)
        limits, horizon = self._desk.limits, self._desk.intakes[name].horizon
        check_all = partial(check, total_bytes=self._desk.body_bytes * GROWTH, now=now)
        return await aside(request, check_all, drafts, types, caller, limits, horizon)

    def _count(self, not_understood: Sequence[Refusal], checked: Checked, intake: Intake) -> None:
        self._figures.refused(not_understood=len(not_understood), invalid=len(checked.refusals))
        if not_understood:
            intake.refused(InvalidEvent(not_understood[0].reason), len(not_understood))
        for error in checked.errors:
            intake.refused(error, 1)

    def _context(self, caller: Caller, now: int) -> Context:
        name = caller.environment.name
        return Context(now, name, self._sides[name].memory, None if caller.key is None else caller.key.id)

    async def _bury(self, request: Request, error: TooLarge) -> Reply:
        caller, credentials = await self._admit(request, Scope.WRITE)
        letters = self._letters(credentials, self._desk.clock(), request)
        self._figures.refused(not_understood=1)
        buried = Checked(refusals=[_whole(request, error)])
        spooled = await self._store(caller.environment.name, buried, letters)
        return _told(self._dialect.bury or Reply(), spooled)

    def _letters(self, credentials: Credentials, now: int, request: Request) -> _Letters:
        redaction = Redaction(self._dialect.secrets, credentials.keys, self._desk.access.is_key)
        return _Letters(self._dialect.name, redaction, now, request)

    async def _admit(self, request: Request, scope: Scope) -> tuple[Caller, Credentials]:
        credentials = standard_credentials(request.headers, request.query)
        if self._dialect.credentials is not None:
            credentials |= await aside(request, self._dialect.credentials, request)
        if self._dialect.plain_key is not None:
            credentials = replace(credentials, keys=frozenset(map(self._dialect.plain_key, credentials.keys)))
        request.caller = self._desk.access.admit(credentials, scope)
        self._desk.access.check_page(request.headers, request.caller, scope)
        return request.caller, credentials

    def _admit_head(self, scope: Scope, request: Request) -> None:
        """Refuse who cannot be admitted by what the head says, whatever the body does."""
        keys = standard_credentials(request.headers, request.query).keys
        with suppress(InvalidRequest):  # what is wrong with a body that is not here yet is told later
            if self._dialect.credentials is not None:
                keys |= self._dialect.credentials(request).keys
        if self._dialect.plain_key is not None:
            keys = frozenset(map(self._dialect.plain_key, keys))
        if not keys and self._dialect.keys_in_body and request.method not in ("GET", "HEAD"):
            return
        try:
            self._desk.access.admit(Credentials(keys), scope)
        except CubeError as error:
            self._figures.failed(error)
            raise

    async def _store(self, environment: str, checked: Checked, letters: _Letters) -> int:
        """Store the events and the dead letters together; what the store refuses is told, too.

        Returns how many are only in the spool.
        """
        intake, saved = self._desk.intakes[environment], self._desk.stores[environment].events
        events = checked.events
        dead = await letters.write(checked.refusals, 0)
        late, spooled = await store(intake, saved, [*events, *dead], checked.size)
        refusals = [refused(checked.drafts[place], reason) for place, reason in late if place < len(events)]
        if refusals:
            self._figures.refused(expired=len(refusals))
            more = await letters.write(refusals, len(checked.refusals))
            checked.refusals += refusals
            spooled += (await store(intake, saved, more, checked.size)).spooled
        self._figures.stored(len(events) - len(refusals))
        return spooled


@dataclass(frozen=True, slots=True)
class _Side:
    """A dialect in one environment; its translations take turns."""

    names: TypeNames
    memory: Memory
    turns: Turns


class _Letters:
    """Writes the dead letters of one request."""

    def __init__(self, dialect: str, redaction: Redaction, now: int, request: Request) -> None:
        self._dialect = dialect
        self._redaction = redaction
        self._now = now
        self._request = request

    async def write(self, refusals: Sequence[Refusal], first: int) -> list[Event]:
        """Make the letters; ``first``: the place of the first refusal in the request."""
        if not refusals:
            return []
        write = partial(dead_letters, first=first, now=self._now)
        return await aside(self._request, write, self._dialect, refusals, self._redaction)


def _whole(request: Request, error: CubeError) -> Refusal:
    """Refuse a request of which nothing was understood, with the beginning of its body."""
    return Refusal(error.message, request.body[:MAX_PAYLOAD_BYTES].decode(errors="replace") or None)


def _told(reply: Reply, spooled: int) -> Reply:
    """Return a reply whose status promises no more than is true: 200 and 201 are for what queries count."""
    return replace(reply, status=HTTPStatus.ACCEPTED) if spooled and reply.status in _DONE else reply
