"""Dialects served: from a foreign request to stored events, and the reply that its client needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

from collector.front_page import page_route
from collector.ingest.context import IngestContext
from collector.ingest.quota import DecodingQuota
from collector.ingest.redaction import Redaction
from collector.instrumentation import DialectCounters
from collector.protocols.shared.admission import LOOP_BYTES, AdmittedRequest, DialectTarget
from collector.protocols.shared.dead_letters import MAX_PAYLOAD_BYTES, dead_letters
from collector.protocols.shared.dialect import (
    Dialect,
    DialectState,
    Endpoint,
    Read,
    Rejection,
    Translate,
    Translation,
)
from collector.protocols.shared.drafts import CheckedDrafts, check, rejected, store
from collector.protocols.shared.message_session import SUMMARY, WINDOW_BYTES, MessageSession, Turn
from collector.protocols.shared.naming import TypeNames
from collector.protocols.shared.reading import EventSearch, SearchLimits
from collector.protocols.shared.shared_paths import Claims, with_shared_paths
from cube.errors import CubeError, InvalidEvent, InvalidRequest, TooLarge
from cube.model.environment import Credentials, Scope
from cube.model.event import Event
from cube.process.threads import run_by_size
from cube.web import Operation, Reply, Request, Route, standard_credentials

T = TypeVar("T")

MAX_GROWTH: Final = 4
"""How many times the bound of a body the events made of one may be together."""

DECODED_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class DialectContext:
    """What all dialects share, beside what all ways in do (``ingest``).

    ``searches``: the limits of all together. ``decoding``: whose turn it is to be decoded, translated and
    stored.
    """

    ingest: IngestContext
    counters: DialectCounters
    searches: SearchLimits = field(default_factory=SearchLimits)
    decoding: DecodingQuota = field(default_factory=lambda: DecodingQuota(DECODED_BYTES))


_DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)


def dialect_routes(dialects: Iterable[Dialect], context: DialectContext) -> list[Route]:
    """Return the routes of some dialects, and of the page whose path some of them have, too."""
    search = EventSearch(context.searches)
    services = [DialectService(dialect, context, search) for dialect in dialects]
    own = (page_route(), None)
    return with_shared_paths((own, *(route for service in services for route in service.routes())))


class DialectService:
    """Answers the requests of one dialect.

    Translations of one environment run one after another, in order of arrival: what the dialect
    remembers is never seen half changed.
    """

    def __init__(self, dialect: Dialect, context: DialectContext, search: EventSearch) -> None:
        self._dialect = dialect
        self._ingest = context.ingest
        self._decoding = context.decoding
        self._window = DecodingQuota(WINDOW_BYTES)
        self._search = search
        self._counters = context.counters.of(dialect.name)
        self._targets = {
            name: DialectTarget(
                context.ingest.intakes[name],
                store.events,
                TypeNames(dialect.name, store.names, context.ingest.settings.dialects.types),
                DialectState(),
                asyncio.Lock(),
            )
            for name, store in context.ingest.stores.items()
        }

    def routes(self) -> list[tuple[Route, Claims | None]]:
        return [
            (self._route(endpoint, path), endpoint.claims)
            for endpoint in self._dialect.endpoints
            for path in endpoint.paths
        ]

    def _route(self, endpoint: Endpoint, path: str) -> Route:
        answers = [
            *((method, partial(self._read, read), Scope.READ) for method, read in endpoint.reads.items()),
            *((method, partial(self._write, one), Scope.WRITE) for method, one in endpoint.translate.items()),
        ]
        operations = {
            method: Operation(
                partial(self._counted, answer),
                endpoint.summary,
                body=None if method == "GET" else endpoint.body,
                parameters=endpoint.parameters if scope is Scope.READ else (),
                admit=partial(self._admit_head, scope),
                credentials=True,
                sniffs_gzip=endpoint.sniffs_gzip,
                unpacks=endpoint.unpacks,
                on_too_large=None
                if self._dialect.too_large is None
                else partial(self._counted, self._keep_too_large),
            )
            for method, answer, scope in answers
        }
        socket = None
        if endpoint.socket is not None:
            socket = partial(MessageSession, partial(self._message, endpoint.socket), self._window)
        return Route(
            path,
            operations,
            socket=socket,
            socket_summary="" if socket is None else SUMMARY,
            socket_scope=Scope.WRITE,
            options=endpoint.options,
            refuse=self._dialect.refuse,
            foreign=True,
        )

    async def _counted(self, answer: Callable[..., Any], *arguments: Any) -> Reply:
        try:
            reply: Reply = await answer(*arguments)
        except CubeError as error:
            self._counters.failed(error)
            raise
        return reply

    async def _message(self, translate: Translate, request: Request, turn: Turn) -> Reply:
        return await self._counted(partial(self._write, translate), request, turn)

    async def _read(self, read: Read, request: Request) -> Reply:
        admitted = await self._admit(request, Scope.READ)
        wanted = read(request, admitted.context)
        if isinstance(wanted, Reply):
            return wanted
        return await self._search.answer(wanted, admitted.target.events, admitted.caller)

    async def _write(self, translate: Translate, request: Request, turn: Turn | None = None) -> Reply:
        async with self._decoding.of(len(request.body)):
            admitted = await self._admit(request, Scope.WRITE)
            return await self._take(translate, replace(admitted, turn=turn))

    async def _take(self, translate: Translate, admitted: AdmittedRequest) -> Reply:
        intake = admitted.target.intake
        intake.check()
        try:
            translation = await self._translated(translate, admitted)
            checked = await self._checked(translation, admitted)
        except InvalidRequest as error:
            intake.refused(error)
            if not isinstance(error, TooLarge):  # what was too much may come in smaller parts
                await self._store(_whole(admitted.request, error), admitted)
            raise
        not_understood = translation.rejections
        self._counters.refused(not_understood=len(not_understood), invalid=len(checked.rejections))
        if not_understood:
            intake.refused(InvalidEvent(not_understood[0].reason), len(not_understood))
        for wrong in checked.errors:
            intake.refused(wrong, 1)
        checked.rejections[:0] = not_understood
        spooled = await self._store(checked, admitted)
        return self._honest(translation.reply(checked.rejections), spooled)

    async def _translated(self, translate: Translate, admitted: AdmittedRequest) -> Translation:
        async with admitted.target.order:
            translation = await admitted.run(translate, admitted.request, admitted.context)
        count, bound = len(translation.drafts), self._ingest.limits.events
        if count > bound:
            raise TooLarge(f"Got {count} events; accepted are {bound} in one request.")
        return translation

    async def _checked(self, translation: Translation, admitted: AdmittedRequest) -> CheckedDrafts:
        drafts, target = translation.drafts, admitted.target
        types = await target.types.name(drafts)
        total = self._ingest.settings.limits.body_bytes * MAX_GROWTH
        work = partial(check, total_bytes=total, now=admitted.now)
        limits, horizon = self._ingest.limits, target.intake.horizon
        return await admitted.run(work, drafts, types, admitted.caller, limits, horizon)

    async def _keep_too_large(self, request: Request, error: TooLarge) -> Reply:
        admitted = await self._admit(request, Scope.WRITE)
        self._counters.refused(not_understood=1)
        spooled = await self._store(_whole(request, error), admitted)
        return self._honest(self._dialect.too_large or Reply(), spooled)

    async def _admit(self, request: Request, scope: Scope) -> AdmittedRequest:
        credentials, access = Credentials(), self._ingest.authenticator
        if self._dialect.credentials is not None:
            find = self._dialect.credentials
            credentials = await run_by_size(len(request.body), LOOP_BYTES, find, request)
        credentials = self._with_standard(credentials, request)
        request.caller = caller = access.admit(credentials, scope)
        access.check_page(request.headers, caller, scope)
        redaction = Redaction(self._dialect.secrets, credentials.keys, access.is_key)
        target = self._targets[caller.environment.name]
        return AdmittedRequest(request, caller, target, self._ingest.clock(), redaction)

    def _admit_head(self, scope: Scope, request: Request) -> None:
        """Refuse who cannot be admitted by what the head says, whatever the body does."""
        credentials = Credentials()
        with suppress(InvalidRequest):  # what is wrong with a body that is not here yet is told later
            if self._dialect.credentials is not None:
                credentials = self._dialect.credentials(request)
        keys = self._with_standard(credentials, request).keys
        if not keys and self._dialect.keys_in_body and request.method not in ("GET", "HEAD"):
            return
        try:
            self._ingest.authenticator.admit(Credentials(keys), scope)
        except CubeError as error:
            self._counters.failed(error)
            raise

    def _with_standard(self, own: Credentials, request: Request) -> Credentials:
        password = self._dialect.password_is_key
        found = standard_credentials(request.headers, request.query, password=password) | own
        return replace(found, keys=frozenset(map(self._dialect.plain_key, found.keys)))

    async def _store(self, checked: CheckedDrafts, admitted: AdmittedRequest) -> int:
        """Store the events and the dead letters together; what the store refuses is rejected, too.

        Returns how many are only in the spool.
        """
        intake, events = admitted.target.intake, checked.events
        dead = await self._dead_letters(checked.rejections, 0, admitted)
        if admitted.turn is not None:
            await admitted.turn.come()
        refused, spooled = await store(intake, [*events, *dead], checked.size, admitted.handed_over)
        late = [rejected(checked.drafts[at], reason) for at, reason in refused.items() if at < len(events)]
        if late:
            self._counters.refused(expired=len(late))
            dead = await self._dead_letters(late, len(checked.rejections), admitted)
            checked.rejections += late
            spooled += (await store(intake, dead, checked.size))[1]
        self._counters.stored.inc(len(events) - len(late))
        return spooled

    def _honest(self, reply: Reply, spooled: int) -> Reply:
        """Return a reply whose status promises no more than is true, where the client knows such a one.

        200, 201 and 204 are for what queries count; another success for what is durable, but not there yet.
        """
        return replace(reply, status=self._dialect.spooled) if spooled and reply.status in _DONE else reply

    async def _dead_letters(
        self, rejections: Sequence[Rejection], first: int, admitted: AdmittedRequest
    ) -> Sequence[Event]:
        """Make dead letters; ``first``: the place of the first rejection in the request."""
        if not rejections:
            return ()
        make = partial(dead_letters, first=first, now=admitted.now)
        return await admitted.run(make, self._dialect.name, rejections, admitted.redaction)


def _whole(request: Request, error: CubeError) -> CheckedDrafts:
    """Reject a request of which nothing was understood, with the beginning of its body."""
    body = request.body[:MAX_PAYLOAD_BYTES].decode(errors="replace") or None
    return CheckedDrafts(rejections=[Rejection(error.message, body)])
