"""The routes of Prometheus' HTTP API under ``/prometheus``; answers and errors in its envelope.

Source: the HTTP API page of Prometheus' documentation, the real server's answers (version 2.42), and what
Grafana's data source asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from cube import json_text
from cube.columns.values import Floats
from cube.errors import CubeError, NotFound
from cube.expression import print_expression
from cube.expression.nodes import Cohorts, Funnel, Reduction, SessionReduction
from cube.expression.traversal import walk
from cube.model.environment import Scope
from cube.process.threads import run_in_thread
from cube.web import Operation, Parameter, Reply, Request, Route, error_reply
from evaluator.api.service import QueryService, QueryServices
from evaluator.prometheus import answers, searches
from evaluator.prometheus.federation import EXPOSITION_TYPE, exposition
from evaluator.prometheus.parameters import Parameters, limit, read_parameters
from evaluator.prometheus.questions import Points, asked, instant_times, query_text, range_times
from evaluator.prometheus.selectors import windowed
from evaluator.query.limits import LimitExceeded

PREFIX: Final = "/prometheus"

VERSION: Final = "2.42.0"
"""What clients are told: that whose answers these are."""

_ERRORS: Final = {
    HTTPStatus.BAD_REQUEST: "bad_data",
    HTTPStatus.UNPROCESSABLE_ENTITY: "execution",
    HTTPStatus.SERVICE_UNAVAILABLE: "timeout",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
    HTTPStatus.NOT_FOUND: "not_found",
}

_PLAIN: Final = "text/plain; charset=utf-8"

_OF_EVENTS: Final = (Reduction, Funnel, Cohorts, SessionReduction)

Answer = Callable[[QueryService, Parameters, Request], Awaitable[Any]]


class Prometheus:
    """Answers it; ``services``: of all environments."""

    def __init__(self, services: QueryServices) -> None:
        self._services = services
        self._runtime = _runtime()

    async def query(self, service: QueryService, parameters: Parameters, request: Request) -> Any:
        """Answer with the value at a moment: of what has happened in the time before it."""
        text, window = windowed(query_text(parameters))
        times = instant_times(parameters, window, service.context.clock())
        points = await asked(service, parameters, times, text)
        found, told = await self._evaluated(service, request, points)
        if window is not None:
            made = await run_in_thread(answers.matrix, found, points.times)
            return answers.cut_series(made, told, limit(parameters))
        if found and not any(isinstance(node, _OF_EVENTS) for node in walk(points.query.expression)):
            return answers.scalar(found[0][1].tolist()[0], times.start)
        return answers.cut_series(answers.vector(found, times.start), told, limit(parameters))

    async def query_range(self, service: QueryService, parameters: Parameters, request: Request) -> Any:
        """Answer with the values at many moments, a step apart."""
        times = range_times(parameters)
        points = await asked(service, parameters, times, query_text(parameters))
        found, told = await self._evaluated(service, request, points)
        made = await run_in_thread(answers.matrix, found, points.times)
        return answers.cut_series(made, told, limit(parameters))

    async def format_query(self, service: QueryService, parameters: Parameters, _: Request) -> Any:
        """Answer with a query's canonical text."""
        text = query_text(parameters)
        query = (await asked(service, parameters, range(0, 1, 60_000), text)).query
        hides = service.restriction is not None and service.restriction.hides
        if query.has_names and hides:  # who may not see what they stand for
            return query.text
        return print_expression(query.asked or query.expression)

    def routes(self) -> tuple[Route, ...]:
        """Return all of them; each under the prefix."""
        both, get = ("GET", "POST"), ("GET",)
        table: tuple[tuple[str, tuple[str, ...], Answer, str], ...] = (
            ("query", both, self.query, "A value at a moment."),
            ("query_range", both, self.query_range, "Values at many moments."),
            ("labels", both, searches.labels, "Names of labels."),
            ("label/{name}/values", get, searches.values, "Values of a label."),
            ("series", both, searches.series, "Series that match."),
            ("metadata", get, searches.metadata, "What each type is."),
            ("format_query", both, self.format_query, "A query's canonical text."),
            ("query_exemplars", both, _constant([]), "Nothing: there are no exemplars."),
            ("rules", get, _constant({"groups": []}), "Nothing: there are no rules."),
            ("alerts", get, _constant({"alerts": []}), "Nothing: there are no alerts."),
            (
                "targets",
                get,
                _constant({"activeTargets": [], "droppedTargets": []}),
                "Nothing: nothing is scraped.",
            ),
            ("status/buildinfo", get, _constant(_build()), "Which version this speaks for."),
            ("status/runtimeinfo", get, _constant(self._runtime), "Since when this process runs."),
            ("status/flags", get, _constant({}), "Nothing: there are no flags."),
            ("status/config", get, _constant({"yaml": ""}), "Nothing: there is no such configuration."),
        )
        routes = [
            Route(
                f"{PREFIX}/api/v1/{path}",
                {
                    method: Operation(partial(self._answer, answer), summary, scope=Scope.READ)
                    for method in methods
                },
                refuse=refuse,
                foreign=True,
            )
            for path, methods, answer, summary in table
        ]
        federate = Operation(
            self._federate,
            "Newest values of metrics, for Prometheus to scrape.",
            (
                Parameter("expression", "A metric; may be repeated.", required=True),
                Parameter("name", "The name of each, in order; else its own, where it is a saved name."),
                Parameter("step", "The length of the bucket that is told of: the last that is over."),
            ),
            content_type=EXPOSITION_TYPE,
            scope=Scope.READ,
        )
        nothing = {method: Operation(_nothing, "Nothing.", scope=Scope.READ) for method in both}
        texts = (("", "Cube"), ("/-/healthy", "Cube is Healthy."), ("/-/ready", "Cube is Ready."))
        return (
            *routes,
            Route(f"{PREFIX}/api/v1/{{path}}", nothing, refuse=refuse, foreign=True),
            Route(f"{PREFIX}/federate", {"GET": federate}),
            *(
                Route(PREFIX + path, {"GET": Operation(partial(_text, text), text, content_type=_PLAIN)})
                for path, text in texts
            ),
        )

    async def _answer(self, answer: Answer, request: Request) -> Reply:
        service = self._services.of(request.admitted)
        async with service.context.query():
            data = await answer(service, read_parameters(request), request)
        found, told = data if isinstance(data, answers.Warned) else (data, ())
        warnings = {"warnings": told} if told else {}
        return Reply(json_text.encode({"status": "success", "data": found, **warnings}))

    async def _evaluated(
        self, service: QueryService, request: Request, points: Points
    ) -> tuple[list[tuple[answers.Labels, Floats]], Sequence[str]]:
        """Return the series of a query, and what it may get wrong about the events that there are."""
        if not points.times:
            return [], ()
        series, query = await service.evaluate(points.query), points.query
        names = answers.label_names(query.expression)
        told = await self._services.hints.of(
            service, request.admitted, query.asked or query.expression, query.span, is_silent=series.is_silent
        )
        return answers.all_series(series, names, points.metric), told

    async def _federate(self, request: Request) -> Reply:
        service = self._services.of(request.admitted)
        async with service.context.query():
            text = await exposition(service, read_parameters(request))
        return Reply(text.encode(), content_type=EXPOSITION_TYPE)


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in the envelope."""
    reply = error_reply(error, request.id)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, LimitExceeded) else HTTPStatus(reply.status)
    told = {"status": "error", "errorType": _ERRORS.get(status, "bad_data"), "error": error.message}
    return Reply(json_text.encode(told), status)


def _constant(data: Any) -> Answer:
    async def answer(_: QueryService, __: Parameters, ___: Request) -> Any:
        return data

    return answer


def _runtime() -> dict[str, Any]:
    """Return what Prometheus tells of its process, of what there is here: it is made as a daemon starts."""
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "startTime": started,
        "reloadConfigSuccess": True,
        "lastConfigTime": started,
        "corruptionCount": 0,
    }


def _build() -> dict[str, str]:
    names = ("branch", "buildUser", "buildDate", "goVersion")
    return {"version": VERSION, "revision": f"cube {version('cube-events')}", **dict.fromkeys(names, "")}


async def _nothing(request: Request) -> Reply:
    raise NotFound(f"There is nothing at {request.path[:200]}.")


async def _text(text: str, _: Request) -> Reply:
    return Reply(f"{text}\n".encode(), content_type=_PLAIN)
