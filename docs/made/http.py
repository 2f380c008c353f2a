"""The tables of routes, headers and metrics, of what both daemons tell of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from collector.front_page import PATH, page_route
from collector.protocols.registry import dialects
from cube.web.standard_routes import ASKED, OWED
from docs.made.daemons import Figure, Told, every_dialect
from docs.made.pages import code, table

_STANDARD: Final = ("/healthz", "/readyz", "/metrics", "/openapi.json")
_PROMETHEUS: Final = "/prometheus"
_METHODS: Final = ("get", "post", "put", "delete")


def tables(collector: Told, evaluator: Told) -> dict[str, str]:
    """Return the tables, by the names that pages have for them."""
    standard = {path: evaluator.paths[path] for path in _STANDARD}
    native = {path: _own(path, item) for path, item in collector.paths.items() if path not in standard}
    asked = {path: item for path, item in evaluator.paths.items() if path not in standard}
    both = {each.name for each in collector.figures} & {each.name for each in evaluator.figures}
    return {
        "routes of both daemons": _routes(standard),
        "routes of the collector": _routes(native),
        "routes of dialects": _dialect_routes(),
        "routes of the evaluator": _routes({k: v for k, v in asked.items() if not k.startswith(_PROMETHEUS)}),
        "routes of Prometheus": _routes({k: v for k, v in asked.items() if k.startswith(_PROMETHEUS)}),
        "headers of requests": _request_headers((collector, evaluator)),
        "headers of answers": _answer_headers((collector, evaluator)),
        "metrics of both daemons": _metrics(each for each in evaluator.figures if each.name in both),
        "metrics of the collector": _metrics(each for each in collector.figures if each.name not in both),
        "metrics of the evaluator": _metrics(each for each in evaluator.figures if each.name not in both),
    }


def _routes(paths: Mapping[str, Mapping[str, Any]]) -> str:
    rows: dict[tuple[str, ...], list[str]] = {}
    for path, item in paths.items():
        told: dict[tuple[str, str, str], list[str]] = {}
        for method in _METHODS:
            if method in item:
                told.setdefault(_facts(item[method]), []).append(method.upper())
        for facts, methods in told.items():
            rows.setdefault((_codes(methods), *facts), []).append(code(path))
        if "description" in item:
            told_of_socket = item["description"].removeprefix("As a WebSocket: ")
            rows.setdefault(("WebSocket", "", told_of_socket, ""), []).append(code(path))
    return table(
        ("method", "path", "parameters (**required**, default)", "what it does", "status"),
        ((row[0], ", ".join(names), *row[1:]) for row, names in rows.items()),
    )


def _facts(operation: Mapping[str, Any]) -> tuple[str, str, str]:
    parameters = ", ".join(_parameter(each) for each in operation["parameters"] if each["in"] != "path")
    own = [status for status in operation["responses"] if status.isdigit() and int(status) < 400]
    refused = [status for status in ("412", "428") if status in operation["responses"]]
    statuses = ", ".join((*own, *refused)) if own != ["204"] or "content" not in _loose(operation) else ""
    return parameters, operation["summary"], statuses


def _loose(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is said of a foreign protocol's answers: any content, of any status; else nothing."""
    said: Mapping[str, Any] = operation["responses"]["default"]
    return said if "*/*" in said.get("content", ()) else {}


def _parameter(parameter: Mapping[str, Any]) -> str:
    text = code(parameter["name"]) + ("" if parameter["in"] == "query" else " (a header)")
    if parameter.get("required"):
        return f"**{text}**"
    default = parameter["schema"].get("default")
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return text if default is None else f"{text} ({shown})"


def _own(path: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out of a path what dialects alone answer."""
    foreign = {method for _, methods, paths, _ in _endpoints() if path in paths for method in methods}
    if path == PATH:  # a dialect answers some of its GETs
        foreign -= page_route().operations.keys()
    return {name: told for name, told in item.items() if name.upper() not in foreign}


def _endpoints() -> Iterator[tuple[str, Sequence[str], Sequence[str], str]]:
    """Yield the methods and paths of each dialect's endpoints, with what these do."""
    for dialect in dialects(every_dialect()):
        for endpoint in dialect.endpoints:
            methods = dict.fromkeys((*endpoint.reads, *endpoint.translate))
            yield dialect.name, tuple(methods), endpoint.paths, endpoint.summary


def _dialect_routes() -> str:
    rows = (
        (f"[{name}](dialects/{name}.md)", _codes(methods), _codes(paths, ", "), summary)
        for name, methods, paths, summary in _endpoints()
    )
    return table(("dialect", "method", "path", "what it does"), rows)


def _codes(texts: Iterable[str], between: str = " ") -> str:
    return between.join(map(code, texts))


def _request_headers(daemons: Iterable[Told]) -> str:
    found = {name: {text: None} for name, text in ASKED.items()}
    where: dict[str, dict[str, None]] = {}
    for path, operation in _operations(daemons):
        for each in operation["parameters"]:
            if each["in"] == "header":
                found.setdefault(each["name"], {})[each["description"]] = None
                where.setdefault(each["name"], {})[path] = None
    return _headers(found, where)


def _answer_headers(daemons: Iterable[Told]) -> str:
    found = {name: {text: None} for name, text in OWED.items()}
    where: dict[str, dict[str, None]] = {}
    for path, operation in _operations(daemons):
        for response in operation["responses"].values():
            for name, header in response.get("headers", {}).items():
                if name not in OWED:
                    found.setdefault(name, {})[header["description"]] = None
                    where.setdefault(name, {})[path] = None
    return _headers(found, where)


def _headers(found: Mapping[str, Iterable[str]], where: Mapping[str, Iterable[str]]) -> str:
    """Return a table of headers: what each says, and of which paths; those of any path have none."""
    rows = (
        (code(name), " ".join(found[name]), _codes(where.get(name, ()), ", ") or "any")
        for name in sorted(found)
    )
    return table(("header", "what it says", "of"), rows)


def _operations(daemons: Iterable[Told]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for daemon in daemons:
        for path, item in daemon.paths.items():
            for method in _METHODS:
                if method in item:
                    yield path, item[method]


def _metrics(figures: Iterable[Figure]) -> str:
    return table(
        ("metric", "kind", "labels", "what it is"),
        (
            (code(each.name), each.kind, _codes(each.labels, ", "), each.words)
            for each in sorted(figures, key=lambda each: each.name)
        ),
    )
