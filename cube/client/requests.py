"""An event for each request that a web application answers: middleware for ASGI and WSGI, and for Tornado.

The event has ``method``, ``path`` (without its query, which may hold keys), ``status``, ``duration_ms``,
``bytes`` of the body, ``route`` where the framework tells it, and ``error``, the name of an exception that
the application let through. Nothing is ever raised into the application, nor waited for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
More: TypeAlias = Callable[[Any], Mapping[str, Any]]
"""What else an event has: made of the scope (ASGI), the environ (WSGI) or the handler (Tornado)."""

TYPE = "request"
SHUTDOWN_SECONDS = 5.0
"""How long the end of an ASGI application waits for its last events."""

_log = logging.getLogger(__name__)


class Emitting(Protocol):
    """What takes an event at once, such as a `BackgroundEmitter`."""

    def emit(self, type: str, data: Any) -> bool: ...


class _ToldRequest:
    """One request, from its beginning to its event, which is emitted once."""

    def __init__(self, emitter: Emitting, type: str, method: str, path: str) -> None:
        self.status: int | None = None
        self.bytes = 0
        self._emitter = emitter
        self._type = type
        self._told = {"method": method, "path": path}
        self._began = time.perf_counter()
        self._is_done = False

    def end(self, error: BaseException | None, more: Callable[[], Mapping[str, Any]]) -> None:
        """Emit the event; what ``more`` raises is logged."""
        if self._is_done:
            return
        self._is_done = True
        data: dict[str, Any] = {**self._told, "duration_ms": _milliseconds(time.perf_counter() - self._began)}
        if self.status is not None:
            data |= {"status": self.status, "bytes": self.bytes}
        if error is not None:
            data |= {"status": data.get("status", 500), "error": type(error).__name__}
        try:
            data |= more()
            self._emitter.emit(self._type, data)
        except Exception:  # an event is never worth a request
            _log.exception("a request could not be told of")


class AsgiRequests:
    """ASGI middleware: ``app = AsgiRequests(app, emitter)``.

    A WebSocket is one request, with the method ``WebSocket``, which ends when it does. When the server ends
    the application's lifespan, what waits in the emitter is sent.
    """

    def __init__(
        self, app: AsgiApplication, emitter: Emitting, *, type: str = TYPE, more: More | None = None
    ) -> None:
        self._app = app
        self._emitter = emitter
        self._type = type
        self._more = more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            flush = getattr(self._emitter, "aflush", None)
            if scope["type"] == "lifespan" and flush is not None:
                await flush(SHUTDOWN_SECONDS)
            return
        exchange = _ToldRequest(self._emitter, self._type, scope.get("method", "WebSocket"), scope["path"])

        async def sent(message: Message) -> None:
            _note(exchange, message)
            await send(message)

        error: BaseException | None = None
        try:
            await self._app(scope, receive, sent)
        except BaseException as raised:
            error = raised
            raise
        finally:
            exchange.end(error, lambda: {**_route(scope), **(self._more(scope) if self._more else {})})


class WsgiRequests:
    """WSGI middleware: ``application = WsgiRequests(application, emitter)``; a body counts to its end."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        emitter: Emitting,
        *,
        type: str = TYPE,
        more: More | None = None,
    ) -> None:
        self._app = app
        self._emitter = emitter
        self._type = type
        self._more = more

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 has it."""
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        text = path.encode("latin-1", "replace").decode("utf-8", "replace")
        exchange = _ToldRequest(self._emitter, self._type, environ["REQUEST_METHOD"], text)

        def end(error: BaseException | None) -> None:
            exchange.end(error, lambda: {} if self._more is None else self._more(environ))

        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], Any]:
            exchange.status = int(status.split(" ", 1)[0])
            write: Callable[[bytes], Any] = start_response(status, headers, *more)

            def written(data: bytes) -> Any:
                exchange.bytes += len(data)
                return write(data)

            return written

        try:
            return _Body(self._app(environ, started), exchange, end)
        except BaseException as error:
            end(error)
            raise


class _Body:
    """What a WSGI application answers, counted; its end, however it comes, is the request's."""

    def __init__(
        self,
        body: Iterable[bytes],
        exchange: _ToldRequest,
        end: Callable[[BaseException | None], None],
    ) -> None:
        self._body = body
        self._parts: Iterator[bytes] = iter(body)
        self._exchange = exchange
        self._end = end

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        try:
            part = next(self._parts)
        except StopIteration:
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._exchange.bytes += len(part)
        return part

    def close(self) -> None:
        """Close the body; every server does so."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._end(None)


def tell_requests(application: Any, emitter: Emitting, *, type: str = TYPE, more: More | None = None) -> None:
    """Have a ``tornado.web.Application`` emit an event for each request, beside its own line in the log."""
    own = application.log_request

    def log_request(handler: Any) -> None:
        own(handler)
        request = handler.request
        exchange = _ToldRequest(emitter, type, request.method, request.path)
        exchange.status = handler.get_status()
        length = getattr(handler, "_headers", {}).get("Content-Length", "")
        exchange.bytes = int(length) if length.isdigit() else 0
        told = {"duration_ms": _milliseconds(request.request_time()), "route": handler.__class__.__name__}
        exchange.end(None, lambda: {**told, **(more(handler) if more else {})})

    application.log_request = log_request


def _note(exchange: _ToldRequest, message: Message) -> None:
    match message["type"]:
        case "http.response.start" | "websocket.http.response.start":
            exchange.status = message["status"]
        case "http.response.body" | "websocket.http.response.body":
            exchange.bytes += len(message.get("body", b""))
        case "websocket.accept":
            exchange.status = 101
        case "websocket.close" if exchange.status is None:
            exchange.status = 403
        case "websocket.send":
            exchange.bytes += len(message.get("bytes") or (message.get("text") or "").encode())


def _route(scope: Scope) -> dict[str, str]:
    """Return the path as the framework's routes have it, where it tells that (FastAPI, Starlette)."""
    path = getattr(scope.get("route"), "path", None)
    return {"route": path} if isinstance(path, str) else {}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 3)
