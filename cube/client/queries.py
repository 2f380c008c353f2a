"""Questions to an evaluator whose answers are tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import msgspec

from cube.client.connection import EVALUATOR_URL, TIMEOUT_SECONDS, Fetched, HttpClient, Retries
from cube.client.evaluator import (
    CURSOR,
    TRUNCATED,
    WARNINGS,
    FoundEvent,
    Instant,
    MetricOptions,
    query_string,
)
from cube.client.streams import (
    LiveOptions,
    StreamOptions,
    StreamSource,
    follow_events,
    follow_metric,
    in_thread,
)
from cube.client.table import ARROW, AnswerColumns, AnswerTable, joined, read
from cube.model.tier import Metric

if TYPE_CHECKING:
    import pyarrow as pa

_NEXT = re.compile(r'<(\?[^>]*)>; rel="next"')


class EventOptions(TypedDict, total=False):
    """What a question for events may say; ``page``: so many of them are read at once."""

    start: Instant | None
    stop: Instant | None
    limit: int | None
    page: int


class Client(HttpClient):
    """Asks one evaluator, as an `HttpClient`; answers are `AnswerTable`, which needs pyarrow.

        client = Client("http://127.0.0.1:1081")
        client.metric("sum(request)", step="1h", start="-1d").pandas()

    Options are those of `MetricOptions` and `EventOptions`. ``warn``: is told each sentence about what an
    answer may get wrong, such as a type that nothing was stored of; by default it is logged.
    """

    default_url = EVALUATOR_URL

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(url, key=key, timeout_seconds=timeout_seconds, retries=retries, warn=warn)
        self._source = StreamSource(self._url, key, self._retries, self._warn)

    def metric(self, expression: str, **options: Unpack[MetricOptions]) -> AnswerTable:
        """Return the values of a metric expression: ``time``, ``value``, with groups ``group`` and ``other``.

        There is a row for each bucket (and group), ascending. Without a limit all buckets from ``start`` on,
        in several requests where there are many; with one the latest.
        """
        limit = options.get("limit")
        asked = query_string(expression=expression, **options)
        tables: list[AnswerTable] = []
        is_cut = False
        for answer in self.walk("/1.0/metric", asked):
            is_cut = TRUNCATED in answer.headers
            # Of one part of a span it is nothing to warn of that its buckets are empty.
            tables.insert(0, self.table_of(answer, tells=not tables and not is_cut))
            if limit is not None:
                break
        if is_cut and limit is None:
            self._warn("Got more buckets than an answer has, without a link: these are the latest.")
        return AnswerTable(joined([table.arrow() for table in tables]), tables[-1].warnings)

    def events(self, expression: str, **options: Unpack[EventOptions]) -> EventPages:
        """Return the events that an event expression selects, ascending: ``time``, ``id``, and its fields.

        Without a limit all of them, and they are read as they are asked for; with one the latest.
        """
        limit, page = options.pop("limit", None), options.pop("page", 10_000)
        asked = query_string(expression=expression, start=options.get("start"), stop=options.get("stop"))
        return EventPages(self, asked, limit, page)

    def sql(self, statement: str) -> AnswerTable:
        """Return the rows of a SELECT, where the evaluator has SQL switched on, and its key no filter."""
        body = msgspec.json.encode({"statement": statement})
        return self.table_of(self._fetch("/1.0/sql", body, ARROW))

    def follow_metric(self, expression: str, **options: Unpack[LiveOptions]) -> Generator[Metric]:
        """Yield metrics as they change, without an end, as `cube.client.streams.follow_metric` does."""
        return in_thread(lambda: follow_metric(self._source, expression, **options))

    def follow_events(self, expression: str, **options: Unpack[StreamOptions]) -> Generator[FoundEvent]:
        """Yield events as they come, without an end, as `cube.client.streams.follow_events` does."""
        return in_thread(lambda: follow_events(self._source, expression, **options))

    def types(self) -> list[str]:
        """Return the names of all types, sorted."""
        names: list[str] = self._request("GET", "/1.0/types")
        return names

    def walk(self, path: str, asked: str, direction: str = "") -> Iterator[Fetched]:
        """Yield an answer as an Arrow stream, and those that its links lead to.

        ``direction``: where links may be missing because they are long, the parameter that takes a cursor.
        """
        target: str | None = f"?{asked}&{direction}=" if direction else f"?{asked}"
        while target is not None:
            answer = self._fetch(f"{path}{target}", accept=ARROW)
            yield answer
            found, cursor = _NEXT.search(answer.headers.get("Link", "")), answer.headers.get(CURSOR)
            target = None if found is None else found[1]
            if target is None and direction and cursor and TRUNCATED in answer.headers:
                target = f"?{asked}&{direction}={cursor}"

    def table_of(self, answer: Fetched, *, tells: bool = True) -> AnswerTable:
        """Return an answer as a table, and tell its warnings, unless it is not to have any."""
        told = answer.headers.get(WARNINGS, "[]") if tells else "[]"
        warnings = msgspec.json.decode(told, type=list[str])
        for sentence in warnings:
            self._warn(sentence)
        return AnswerTable(read(answer.content), warnings)


class EventPages(AnswerColumns):
    """The events of a question, read page by page each time that they are asked for.

    `pages` and iteration hold one page at a time, all else all of them.
    """

    def __init__(self, client: Client, asked: str, limit: int | None, page: int) -> None:
        self._client = client
        self._asked = asked
        self._limit = limit
        self._page = page if limit is None else min(page, limit)

    def pages(self) -> Iterator[AnswerTable]:
        """Yield tables of some events each, ascending, and at least one; with a limit just one."""
        asked = f"{self._asked}&limit={self._page}"
        if self._limit is None:
            yield from map(self._client.table_of, self._client.walk("/1.0/event", asked, "after"))
            return
        latest: list[AnswerTable] = []
        found = 0
        for answer in self._client.walk("/1.0/event", asked, "before"):
            latest.append(self._client.table_of(answer))
            found += len(latest[-1])
            if found >= self._limit:
                break
        whole = joined([table.arrow() for table in reversed(latest)])
        first = max(0, whole.num_rows - self._limit)
        yield AnswerTable(whole.slice(first), latest[0].warnings)

    def arrow(self) -> pa.Table:
        return joined([table.arrow() for table in self.pages()])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for table in self.pages():
            yield from table
