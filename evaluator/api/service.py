"""The query service of one environment: every question, whichever way it comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from cube.columns.arrow_stream import MEDIA_TYPE as ARROW
from cube.columns.key_filter import Restriction
from cube.errors import InvalidExpression
from cube.expression.definitions import Definitions
from cube.model.environment import Caller, Key
from cube.model.grid import step_of
from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.page import EventPage, Walk
from cube.web import MemoryBudget, Reply, Request
from evaluator.answers.arrow_answers import ArrowWriter
from evaluator.answers.response_writer import Frame, ResponseWriter
from evaluator.answers.rows import AnswerTexts
from evaluator.api.hints import (
    EVENT_PARAMETERS,
    METRIC_PARAMETERS,
    Hints,
    unknown_parameters,
    warning_headers,
)
from evaluator.api.paging import event_headers, metric_headers
from evaluator.context import QueryContext, Question, QuestionLog
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import THREAD_ROWS, Series
from evaluator.query.definitions import read_definitions
from evaluator.query.queries import EventQuery, MetricQuery, parse_named
from evaluator.scheduling.scheduler import QueryCost
from evaluator.streams.poller import EventStreams

T = TypeVar("T")

PAGE_TIME = 0.5
"""A page ends after so much of the time that a query has, and the next one goes on."""

NO_BUCKET: Final = "No bucket of this step is over since the start; a stop of now shows the one that goes on."
"""What is told of an answer without rows, where no stop was asked for."""

_LONG_EXPRESSION = 300  # characters; parsing more than these takes milliseconds


@dataclass(frozen=True, slots=True)
class QueryService:
    """Reads questions and answers them from one store; ``restriction``: what the one who asks may see.

    ``questions``: where it is noted how long they took. ``texts``: keeps those of answers.
    """

    pyramid: Pyramid
    streams: EventStreams
    answers: MemoryBudget
    questions: QuestionLog
    texts: AnswerTexts
    restriction: Restriction | None = None

    @property
    def context(self) -> QueryContext:
        """What its queries work with."""
        return self.pyramid.context

    async def metric_query(self, raw: Mapping[str, Any], *, live: bool = False) -> MetricQuery:
        """Parse a question for metrics; raises `InvalidQuery`, `InvalidExpression` or `AccessDenied`."""
        try:
            query = await self._parse(MetricQuery.parse, raw, live=live)
        except InvalidExpression:  # it may have names in it, which the store is not asked for otherwise
            definitions = await self.definitions()
            if not definitions.texts:
                raise
            query = await self._parse(MetricQuery.parse, raw, live=live, definitions=definitions)
        if self.restriction is None:
            return query
        restricted = self.restriction.named if query.has_names else self.restriction.metric
        return replace(query, expression=restricted(query.expression), asked=query.expression)

    async def definitions(self) -> Definitions:
        """Return the definitions as they are now; all that were acknowledged before are there."""
        hides = self.restriction is not None and self.restriction.hides
        return await read_definitions(self.context.store, are_told=not hides)

    async def redefined(self, query: MetricQuery) -> MetricQuery:
        """Return a query with what the names in it stand for now; raises as `metric_query` does."""
        if not query.has_names:
            return query
        expression = parse_named(query.text, await self.definitions())
        return replace(
            query,
            expression=expression if self.restriction is None else self.restriction.named(expression),
        )

    async def event_query(self, raw: Mapping[str, Any], *, stream: bool = False) -> EventQuery:
        """Parse a question for events; raises `InvalidQuery`, `InvalidExpression` or `AccessDenied`."""
        query = await self._parse(EventQuery.parse, raw, stream=stream)
        if self.restriction is None:
            return query
        return replace(query, expression=self.restriction.event(query.expression), asked=query.expression)

    def writer(self, frame: Frame | None = None) -> ResponseWriter:
        """Begin an answer, which counts among all that are held at once from its first row on."""
        return ResponseWriter(self.context.limits.answer_bytes, self.answers, frame)

    async def write_metrics(self, query: MetricQuery, writer: ResponseWriter) -> bool:
        """Write the rows of a metric query, ascending: many of them in threads, part by part.

        Returns whether any of them has a value other than zero.
        Raises `DeadlineExceeded` or `LimitExceeded` where the query is over its limits, `AnswerDropped`
        where all answers are.
        """
        cost, span = QueryCost(query.span.length), query.span
        asked = Question("metric", query.text, span.start, span.stop, step_of(query.grid), self._key)
        with self.questions.timed(asked):
            return await self._write_metrics(query, cost, writer)

    async def evaluate(self, query: MetricQuery) -> Series:
        """Return the series of a metric query. Raises as `Pyramid.evaluate` does."""
        span = query.span
        asked = Question("metric", query.text, span.start, span.stop, step_of(query.grid), self._key)
        with self.questions.timed(asked):
            return await self.pyramid.evaluate(query.expression, query.grid, span, QueryCost(span.length))

    async def _write_metrics(self, query: MetricQuery, cost: QueryCost, writer: ResponseWriter) -> bool:
        async with self.context.query(), writer.writing():
            series = await self.pyramid.evaluate(query.expression, query.grid, query.span, cost)
            if not query.span:
                return False
            written = (series, query.grid, query.span)
            is_silent = writer.write_kept(*written, self.texts)
            if is_silent is not None:
                return not is_silent
            steps = writer.write_metrics(*written)
            if series.rows <= THREAD_ROWS and not writer.is_slow:
                for _ in steps:
                    continue
            else:
                while await self.context.scheduler.run(cost, lambda: next(steps, True) is None):
                    continue
            writer.keep(*written, self.texts)
            return not series.is_silent

    async def write_events(self, query: EventQuery, stop: int, writer: ResponseWriter) -> EventPage:
        """Write a page of a query's events before `stop`, in the direction of its walk; return how it ended.

        Raises as `write_metrics` does; where the client goes from page to page the page ends instead, before
        it is over a limit of time or bytes.
        """
        seconds = self.context.limits.query_seconds * PAGE_TIME if query.is_paged else None
        walk = Walk(query.expression, Span(query.start, stop), not query.upwards, query.place)
        hides = self.restriction is not None and bool(self.restriction.filters)
        page = EventPage(walk, query.limit, seconds, hides=hides)
        with self.questions.timed(Question("event", query.text, query.start, stop, None, self._key)):
            await self._write_events(page, writer, may_end=query.is_paged)
        return page

    async def _write_events(self, page: EventPage, writer: ResponseWriter, *, may_end: bool) -> None:
        async with (
            self.context.query(),
            writer.writing(),
            self.context.session(QueryCost(page.walk.left.length)) as (session, time_slice),
            aclosing(page.parts(session, time_slice, writer.hold)) as parts,
        ):
            async for part in parts:
                async with time_slice():
                    fitting = await run_in_thread(writer.write_found, part, may_end)
                if fitting < len(part):
                    page.cut = "bytes"
                    if fitting:
                        page.end_at(part[fitting - 1])
                    return

    async def types(self) -> list[str]:
        """Return the names of all types that may be known of, sorted."""
        async with self.context.query(), self.context.lookup() as session:
            names = await session.types()
        return names if self.restriction is None else self.restriction.types(names)

    @property
    def _key(self) -> Key | None:
        return None if self.restriction is None else self.restriction.caller.key

    async def _parse(self, parse: Callable[..., T], raw: Mapping[str, Any], **options: Any) -> T:
        context, expression = self.context, raw.get("expression")
        work = partial(parse, raw, now=context.clock(), settings=context.settings, **options)
        if not isinstance(expression, str) or len(expression) <= _LONG_EXPRESSION:
            return work()
        return await context.scheduler.run(QueryCost(), work)


class QueryServices:
    """The services of all environments, by name, and what they answer over HTTP."""

    def __init__(self, services: Mapping[str, QueryService]) -> None:
        self.hints: Final = Hints()
        self._services = services

    def of(self, caller: Caller) -> QueryService:
        """Return the service of a caller's environment, restricted to what its key allows.

        Raises `AccessDenied` where the key's filter cannot be read.
        """
        service = self._services[caller.environment.name]
        return service if caller.key is None else replace(service, restriction=Restriction.of(caller))

    async def get_metrics(self, request: Request) -> Reply:
        """Answer with one object per bucket (and group), ascending."""
        service = self.of(request.admitted)
        parameters = request.parameters()
        query = await service.metric_query(parameters)
        unknown = unknown_parameters(parameters, METRIC_PARAMETERS)
        with self._writer(request, service, query) as writer:
            says_something = await service.write_metrics(query, writer)
            if not query.span and query.start is not None and "stop" not in parameters:
                return await writer.reply(warning_headers((NO_BUCKET, *unknown)))
            told = await self._hints(request, service, query, query.span, is_silent=not says_something)
            return await writer.reply(metric_headers(request, query) + warning_headers(told + unknown))

    async def get_events(self, request: Request) -> Reply:
        """Answer with the latest events of the span, or those of a page, ascending."""
        service = self.of(request.admitted)
        parameters = request.parameters()
        query = await service.event_query(parameters)
        unknown = unknown_parameters(parameters, EVENT_PARAMETERS)
        stop = query.start if query.stop is None else query.stop
        with self._writer(request, service, query) as writer:
            writer.all_ids = query.all_ids
            page = await service.write_events(query, stop, writer)
            if not query.upwards:
                writer.rows.reverse()
            is_silent = (
                not writer.rows and query.place is None and page.cut is None
            )  # else more came, or comes
            told = await self._hints(request, service, query, Span(query.start, stop), is_silent=is_silent)
            return await writer.reply(event_headers(request, query, page) + warning_headers(told + unknown))

    def _writer(
        self, request: Request, service: QueryService, query: MetricQuery | EventQuery
    ) -> ResponseWriter:
        """Begin an answer as an Arrow stream where that is named among what is accepted, else as JSON."""
        if not request.accepts(ARROW):
            return service.writer()
        return ArrowWriter(service.context.limits.answer_bytes, service.answers, query.expression)

    async def _hints(
        self,
        request: Request,
        service: QueryService,
        query: MetricQuery | EventQuery,
        span: Span,
        *,
        is_silent: bool,
    ) -> list[str]:
        """Return sentences about what a question may get wrong of the events that there are."""
        tree = query.asked or query.expression
        return await self.hints.of(service, request.admitted, tree, span, is_silent=is_silent)
