"""Questions to an evaluator over HTTP."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPMessage
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict, Unpack
from urllib.parse import quote, urlencode

import msgspec

from cube import json_text
from cube.client.connection import EVALUATOR_URL, HttpClient
from cube.client.sql_answer import SqlAnswer
from cube.model import instant
from cube.model.event import ABSENT
from cube.model.tier import Metric

Instant: TypeAlias = "int | str | datetime"
"""Milliseconds since 1970, ISO 8601, relative to the evaluator's now (``-6h``), or a datetime.

One without a zone is in UTC."""

CURSOR: Final = "Cube-Cursor"
TRUNCATED: Final = "Cube-Truncated"
WARNINGS: Final = "Cube-Warnings"

_NEXT = re.compile(r'<\?([^>]*)>; rel="next"')


class MetricOptions(TypedDict, total=False):
    """What a question for metrics may say.

    ``step``: milliseconds, or words such as ``15m``, ``1d`` or ``month``. ``start``, ``stop``: milliseconds
    since 1970, ISO 8601, a datetime (without zone: UTC), or relative to now, such as ``-6h``; without
    ``stop`` the bucket that goes on is left out, and ``now`` includes it.
    ``timezone``: by whose clocks, such as ``Europe/Berlin``. ``week_start``: a weekday. What is left
    out has the daemon's default.
    """

    step: int | str | None
    start: Instant | None
    stop: Instant | None
    limit: int | None
    timezone: str | None
    week_start: str | None


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """One event of an answer.

    ``time``: milliseconds since 1970. ``id``: None where no client gave one. ``data``: the fields that
    were asked for; `cube.model.event.ABSENT` where none were.
    """

    time: int
    id: str | int | float | None
    data: Any


class AnswerPage(NamedTuple):
    """One page of an answer.

    ``content``: a JSON array of rows, as sent. ``cursor``: where it ended; "" before any event, and of a
    metric. ``is_complete``: false of a last one where there is more that no page has.
    """

    content: bytes
    cursor: str
    is_last: bool
    is_complete: bool = True

    @property
    def rows(self) -> list[msgspec.Raw]:
        """The rows, each as it was sent."""
        return msgspec.json.decode(self.content, type=list[msgspec.Raw])


class Evaluator(HttpClient):
    """Asks one evaluator, as an `HttpClient`. Parameters left out have the daemon's defaults.

    ``warn``: is told each sentence about what a question may get wrong, such as an unknown field; it is
    logged unless another is given.
    """

    default_url = EVALUATOR_URL

    def _heed(self, headers: HTTPMessage) -> None:
        for sentence in msgspec.json.decode(headers.get(WARNINGS, "[]"), type=list[str]):
            self._warn(sentence)

    def metrics(self, expression: str, **options: Unpack[MetricOptions]) -> list[Metric]:
        """Return the values of a metric expression, one for each bucket (and group), ascending.

        A group of several parts is a tuple.
        """
        asked = query_string(expression=expression, **options)
        return [metric_of(row) for row in self._request("GET", f"/1.0/metric?{asked}")]

    def events(
        self,
        expression: str,
        *,
        start: Instant | None = None,
        stop: Instant | None = None,
        limit: int | None = None,
    ) -> list[FoundEvent]:
        """Return the latest events that an event expression selects, ascending by time."""
        asked = query_string(expression=expression, start=start, stop=stop, limit=limit)
        return [event_of(row) for row in self._request("GET", f"/1.0/event?{asked}")]

    def event_pages(
        self,
        expression: str,
        *,
        start: Instant | None = None,
        stop: Instant | None = None,
        limit: int | None = None,
        after: str = "",
        all_ids: bool = False,
    ) -> Generator[AnswerPage, int | None, None]:
        """Yield all events that an expression selects, ascending, some at a time and at least one page.

        ``after``: the cursor of a page, to go on behind it. ``limit``: of a page; another may be sent to the
        generator for the next one. Relative times are those of the first. ``all_ids``: those that Cube has
        made are shown, too, as ``{"$oid": …}``.
        """
        ids = "all" if all_ids else None
        while True:
            asked = query_string(
                expression=expression, start=start, stop=stop, limit=limit, after=after, ids=ids
            )
            answer = self._fetch(f"/1.0/event?{asked}")
            is_last = TRUNCATED not in answer.headers
            page = AnswerPage(answer.content, answer.headers.get(CURSOR, after), is_last=is_last)
            limit = (yield page) or limit
            if is_last:
                return
            after = page.cursor

    def metric_pages(self, expression: str, **options: Unpack[MetricOptions]) -> Iterator[AnswerPage]:
        """Yield all values of a metric expression, the page of the latest first, each ascending in itself.

        ``limit``: of the buckets of a page.
        """
        asked: str | None = query_string(expression=expression, **options)
        while asked is not None:
            content, headers = self._fetch(f"/1.0/metric?{asked}")
            found = _NEXT.fullmatch(headers.get("Link", ""))
            asked = None if found is None else found[1]
            yield AnswerPage(content, "", asked is None, asked is not None or TRUNCATED not in headers)

    def sql(self, statement: str, format: str = "jsonl") -> SqlAnswer:
        """Run a statement of SQL, and return its answer as it comes: to be closed, as a ``with`` does.

        ``format``: jsonl, which `SqlAnswer.rows` reads, or json, csv, parquet or arrow.
        """
        body = json_text.encode({"statement": statement, "format": format})
        return SqlAnswer(self._opened("POST", "/1.0/sql", body), self.close)

    def types(self) -> list[str]:
        """Return the names of all types, sorted."""
        names: list[str] = self._request("GET", "/1.0/types")
        return names

    def types_in_detail(self) -> list[dict[str, Any]]:
        """Return what there is to tell of each type: its events of late, its rate, its first and last."""
        found: list[dict[str, Any]] = self._request("GET", "/1.0/types?details=true")
        return found

    def fields(self, type: str) -> dict[str, Any]:
        """Return the ``fields`` of a type as a ``sample`` of its newest events shows them."""
        found: dict[str, Any] = self._request("GET", f"/1.0/fields?{query_string(type=type)}")
        return found

    def explained(self, expression: str) -> dict[str, Any]:
        """Return what an expression is (``readings``, ``error``), and what it may get wrong (``hints``)."""
        found: dict[str, Any] = self._request("GET", f"/1.0/expression?{query_string(expression=expression)}")
        return found

    def status(self) -> dict[str, Any]:
        """Return how the daemons are, as they tell of themselves."""
        found: dict[str, Any] = self._request("GET", "/1.0/status")
        return found

    def boards(self) -> list[dict[str, Any]]:
        """Return the name, title, revision and more of each board."""
        found: list[dict[str, Any]] = self._request("GET", "/1.0/boards")["boards"]
        return found

    def board(self, name: str) -> dict[str, Any]:
        """Return one ``board``, with its ``revision``."""
        found: dict[str, Any] = self._request("GET", f"/1.0/boards/{quote(name, safe='')}")
        return found

    def save_board(self, name: str, board: bytes, revision: int | str | None = None) -> int:
        """Save a board, as JSON, and return its new revision.

        ``revision``: the one that it is a change of, "*" for any; None: it must be new. Raises `Conflict`.
        """
        at = {"If-None-Match": "*"} if revision is None else _at(revision)
        saved = self._send("PUT", f"/1.0/boards/{quote(name, safe='')}", board, at)
        return int(saved["revision"])

    def delete_board(self, name: str, revision: int | str) -> None:
        """Delete a board at a revision, "*" at any; raises `Conflict`."""
        self._send("DELETE", f"/1.0/boards/{quote(name, safe='')}", None, _at(revision))

    def definitions(self) -> list[dict[str, Any]]:
        """Return the name, expression, revision and more of each definition."""
        found: list[dict[str, Any]] = self._request("GET", "/1.0/definitions")["definitions"]
        return found

    def define(
        self, name: str, expression: str, revision: int | str | None = None, *, force: bool = False
    ) -> int:
        """Give a metric expression a name, and return the definition's new revision.

        ``revision``: the one that it is a change of, "*" for any; None: it must be new. Raises `Conflict`,
        and without ``force`` `InUse` where a change would break other definitions or boards.
        """
        at = {"If-None-Match": "*"} if revision is None else _at(revision)
        body = json_text.encode({"expression": expression})
        return int(self._send("PUT", _definition(name, force=force), body, at)["revision"])

    def delete_definition(self, name: str, revision: int | str, *, force: bool = False) -> None:
        """Delete a definition at a revision, "*" at any; raises `Conflict`.

        Without ``force`` raises `InUse` where other definitions or boards use it.
        """
        self._send("DELETE", _definition(name, force=force), None, _at(revision))


def metric_of(row: dict[str, Any]) -> Metric:
    """Return a row of a metric's answer as a value."""
    group = row.get("group")
    group = tuple(group) if isinstance(group, list) else group
    return Metric(instant.parse(row["time"]), row.get("value"), group, row.get("other", False))


def event_of(row: dict[str, Any]) -> FoundEvent:
    """Return a row of an answer of events as a value."""
    return FoundEvent(instant.parse(row["time"]), row.get("id"), row.get("data", ABSENT))


def _definition(name: str, *, force: bool) -> str:
    return f"/1.0/definitions/{quote(name, safe='')}{'?force=true' if force else ''}"


def _at(revision: int | str) -> dict[str, str]:
    return {"If-Match": "*" if revision == "*" else f'"{revision}"'}


def query_string(**given: object) -> str:
    """Return the parameters of a question that were given, as a URL has them."""
    return urlencode(given_only(given))


def given_only(given: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters of a question that are not None, datetimes as texts."""
    return {
        name: instant.format(instant.from_datetime(value)) if isinstance(value, datetime) else value
        for name, value in given.items()
        if value is not None
    }
