"""Requests for dialects' translations, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tornado.httputil import HTTPHeaders

from collector.protocols.shared.dialect import DialectState, RequestContext
from cube.web import Request

NOW = 1_700_000_000_000


class NoState(DialectState):
    """The memory of a dialect that has none."""

    def get(self, kind: str, key: str) -> Any:
        raise AssertionError(f"this dialect remembers nothing, yet asks for {kind} {key}")

    def put(self, kind: str, key: str, value: Any) -> None:
        raise AssertionError(f"this dialect remembers nothing, yet keeps {kind} {key} {value}")


def context() -> RequestContext:
    """Return what a translation of a request without keys is told."""
    return RequestContext(NOW, "default", NoState())


def request(
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    target: str = "/",
    method: str = "POST",
    captures: Mapping[str, str] | None = None,
) -> Request:
    """Make a request whose body is here."""
    made = Request(method, target, HTTPHeaders(dict(headers or {})), "127.0.0.1")
    made.body = body
    made.captures = captures or {}
    return made
