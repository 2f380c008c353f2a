"""One HTTP connection to a daemon: kept alive, tried again, its errors raised as ours."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from cube.backoff import Backoff
from cube.errors import (
    AccessDenied,
    Conflict,
    CubeError,
    InUse,
    InvalidExpression,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
    shown,
)

_log = logging.getLogger("cube.client")

T = TypeVar("T")

KEY_VARIABLE = "CUBE_KEY"
COLLECTOR_URL = "http://127.0.0.1:1080"
EVALUATOR_URL = "http://127.0.0.1:1081"
TIMEOUT_SECONDS = 60.0

_DAEMONS = {COLLECTOR_URL: "collector", EVALUATOR_URL: "evaluator"}

_KINDS: dict[int, type[CubeError]] = {
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    408: Unavailable,
    412: Conflict,
    409: InUse,
    413: TooLarge,
    429: Overloaded,
    503: Unavailable,
}


class _Info(msgspec.Struct):
    title: str = ""


class _Description(msgspec.Struct):
    """What is read of a daemon's ``/openapi.json``."""

    info: _Info = msgspec.field(default_factory=_Info)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent again that met an overloaded or absent daemon.

    ``pause_seconds`` comes before the first repetition and doubles; a ``Retry-After`` that is longer
    counts instead. 0 attempts beyond the first: never.
    """

    attempts: int = 4
    pause_seconds: float = 0.2

    def pause(self, attempt: int, error: Overloaded | Unavailable) -> float:
        """Return how many seconds to wait after the attempt of this number, from 0."""
        told = error.retry_after_seconds if error.details.get("answered") else 0.0
        return max(Backoff(self.pause_seconds).pause(attempt), told)


class Fetched(NamedTuple):
    """What a daemon answered, as it was sent."""

    content: bytes
    headers: HTTPMessage


NO_RETRIES = Retries(attempts=0)


class Closing:
    """What is closed at the end of its ``with``."""

    def close(self) -> None:
        """Close what it has opened."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HttpClient(Closing):
    """What asks one daemon over one connection; for one thread at a time.

    ``url``: ``http://HOST:PORT`` or ``https://…``, by default `default_url`. ``key``: an API key that each
    request carries. A request is only repeated where that is safe: events carry ids, and questions change
    nothing. ``warn``: is told each sentence of a warning, such as one about an unknown field; it is logged
    unless another is given.
    """

    default_url: ClassVar[str]

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._url = self.default_url if url is None else url
        self._warn = log_warning if warn is None else warn
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidSettings(
                f"Got the address {shown(self._url)}; accepted is http://HOST:PORT or https://…."
            )
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._prefix = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
        self._retries = retries or Retries()
        self._headers = key_headers(key)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Send a request, with a JSON body or none, and return the decoded JSON answer."""
        return self._repeated(partial(self._send, method, path, body))

    def _fetch(self, path: str, body: bytes | None = None, accept: str | None = None) -> Fetched:
        """Ask for an answer as it is sent, with its headers, in a format; POST a body, if there is one."""
        method, more = "GET" if body is None else "POST", None if accept is None else {"Accept": accept}
        return self._repeated(partial(self._exchange, method, path, body, more))

    def _repeated(self, ask: Callable[[], T]) -> T:
        for attempt in range(self._retries.attempts + 1):
            try:
                return ask()
            except (Overloaded, Unavailable) as error:
                if attempt == self._retries.attempts:
                    raise
                time.sleep(self._retries.pause(attempt, error))
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, path: str, body: bytes | None, more: Mapping[str, str] | None = None) -> Any:
        """Send a request once, with ``more`` headers, and return the decoded JSON answer."""
        content = self._exchange(method, path, body, more).content
        return msgspec.json.decode(content) if content else None

    def _exchange(
        self, method: str, path: str, body: bytes | None, more: Mapping[str, str] | None = None
    ) -> Fetched:
        return self._answered((method, path, body, more), lambda got: Fetched(got.read(), got.headers))

    def _opened(self, method: str, path: str, body: bytes | None) -> HTTPResponse:
        """Send a request, and return its answer, which is no error, to be read as it comes."""
        return self._answered((method, path, body, None), lambda response: response)

    def _answered(
        self,
        asked: tuple[str, str, bytes | None, Mapping[str, str] | None],
        take: Callable[[HTTPResponse], T],
    ) -> T:
        """Send a request, and return what is taken of an answer that is no error."""
        kept_alive = self._connection.sock is not None
        method, path, body, more = asked
        try:
            headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
            self._connection.request(method, self._prefix + path, body, headers | dict(more or {}))
            response = self._connection.getresponse()
            if response.status >= 300:
                error = error_of(response.status, response.read(), response.getheader("Retry-After"))
            else:
                error, taken = None, take(response)
        except (HTTPException, OSError) as broken:
            self.close()
            if kept_alive and not isinstance(broken, TimeoutError):
                return self._answered(asked, take)  # perhaps it was closed while it was idle
            reason = getattr(broken, "strerror", None) or str(broken) or type(broken).__name__
            raise Unavailable(
                f"Nothing answers at {self._url} ({str(reason).lower()}); `cube serve` starts both daemons."
            ) from None
        if error is not None:
            raise self._misdirected(response.status) or error
        self._heed(response.headers)
        return taken

    def _misdirected(self, status: int) -> InvalidSettings | None:
        """Return what is told where the other daemon answers; None where that is not so, or not known."""
        wanted = _DAEMONS.get(self.default_url)
        if wanted is None or status not in (404, 405):
            return None
        with suppress(HTTPException, OSError, msgspec.DecodeError):
            self._connection.request("GET", f"{self._prefix}/openapi.json", headers=self._headers)
            answer = msgspec.json.decode(self._connection.getresponse().read(), type=_Description)
            other = answer.info.title.removeprefix("Cube ")
            if other != wanted and other in _DAEMONS.values():
                return InvalidSettings(
                    f"Got {shown(self._url)}, the address of the {other}; accepted is that of the {wanted},"
                    f" such as {self.default_url}."
                )
        return None

    def _heed(self, headers: HTTPMessage) -> None:
        """Look at the headers of an answer that is no error."""


def log_warning(sentence: str) -> None:
    """Log what a daemon warns of."""
    _log.warning("%s", sentence)


def key_headers(key: str | None) -> dict[str, str]:
    """Return the headers that carry an API key."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def error_of(status: int, content: bytes, retry_after: str | None = None) -> CubeError:
    """Return the error that a reply tells: its sentence, and its other keys as details."""
    details: dict[str, Any] = {}
    with suppress(msgspec.DecodeError):  # a proxy's page, or nothing
        details = msgspec.json.decode(content, type=dict[str, Any])
    message = str(details.pop("error", f"The server answered {status}."))
    kind = _KINDS.get(status, InvalidRequest if 400 <= status < 500 else CubeError)
    if kind in (Overloaded, Unavailable):
        seconds = int(retry_after) if retry_after and retry_after.isdigit() else 1
        return kind(message, retry_after_seconds=max(1, seconds), answered=True)
    line, column = details.get("line"), details.get("column")
    if kind is InvalidRequest and isinstance(line, int) and isinstance(column, int):
        return InvalidExpression(message, line=line, column=column)
    return kind(message, **details)
