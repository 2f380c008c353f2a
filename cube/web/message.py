"""Messages: what a handler gets (`Request`, its query, its form) and gives back (`Reply`)."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_body_arguments

from cube import json_text
from cube.errors import InvalidQuery, InvalidRequest
from cube.model.environment import Caller

MAX_PARAMETERS = 100
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_WEIGHTLESS = re.compile(r"[ \t]*q[ \t]*=[ \t]*0(?:\.0*)?[ \t]*")
JSON_TYPE = "application/json"

_PREFLIGHT_SECONDS = "86400"
_PROCESS = os.urandom(5).hex()
_NUMBERS = itertools.count(1)


class Request:
    """One HTTP request, its body read and inflated.

    ``path`` and ``query`` are as sent, without the question mark; bytes outside ASCII are percent-encoded.
    ``id`` is the caller's ``X-Request-Id`` where that is harmless, else made here; it stands in the reply
    and in the log. ``is_socket``: whether it has opened a WebSocket.
    ``captures``: the parts of the path that a route in braces matched, decoded. ``route``: the path with
    those parts in braces, "" where nothing is there; it and not ``path`` is for logs and metrics, for a
    part may be a key. ``caller``: who was admitted; None before that, and where nobody asks. ``remote``,
    ``scheme``: the client's address, and http or https, as the connection or a trusted proxy tells.
    ``hold``: to be told of so many bytes that the body takes once its reader has unpacked it, before it does;
    raises `TooLarge` and `Overloaded`, see `cube.web.body.Body.hold`.
    """

    def __init__(self, method: str, target: str, headers: HTTPHeaders, remote: str) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.remote = remote
        self.body = b""
        self.caller: Caller | None = None
        self.captures: Mapping[str, str] = {}
        self.route = ""
        self.is_socket = False
        self.scheme = "http"
        self.hold: Callable[[int], None] = lambda size: None
        given = headers.get("X-Request-Id")
        self.id = given if given and _GIVEN_ID.fullmatch(given) else make_request_id()

    @property
    def admitted(self) -> Caller:
        """Who was admitted, for operations that have a scope."""
        if self.caller is None:
            raise TypeError(f"nobody was admitted to {self.path}: its operation has no scope")
        return self.caller

    @property
    def asks_for_socket(self) -> bool:
        """Whether it would become a WebSocket."""
        return (
            self.method == "GET"
            and self.headers.get("Upgrade", "").lower() == "websocket"
            and "upgrade" in self.headers.get("Connection", "").lower()
        )

    def accepts(self, media_type: str) -> bool:
        """Tell whether it names a media type itself among what it accepts, with a weight above 0."""
        for accepted in self.headers.get("Accept", "").split(","):
            name, *parameters = accepted.split(";")
            if name.strip(" \t").lower() == media_type:
                return not any(map(_WEIGHTLESS.fullmatch, parameters))
        return False

    def parameters(self) -> Mapping[str, str]:
        """Return the query's parameters; a repeated one or one that is not UTF-8 is an `InvalidQuery`."""
        parameters: dict[str, str] = {}
        for name, value in self.pairs("strict"):
            if name in parameters:
                raise InvalidQuery(f"Got the parameter {name[:80]} twice; accepted is one.", field=name[:80])
            parameters[name] = value
        return parameters

    def pairs(self, errors: str = "surrogateescape", most: int = MAX_PARAMETERS) -> list[tuple[str, str]]:
        """Return the query's names and values, in order; more than ``most`` are an `InvalidQuery`.

        ``errors``: what becomes of what is not UTF-8, lone surrogates or (``strict``) an `InvalidQuery`, too.
        """
        try:
            return parse_qsl(self.query, keep_blank_values=True, errors=errors, max_num_fields=most)
        except UnicodeDecodeError:
            raise InvalidQuery("Got a query that is not UTF-8.") from None
        except ValueError:
            raise InvalidQuery(f"Got more than {most} parameters in a query.") from None


class Parts(Protocol):
    """A body as it is made; `aclose` is awaited at its end, whoever brings that about."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def __anext__(self) -> bytes: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request; the plumbing adds the headers that every reply has.

    ``parts``: what is sent in place of the body, as it is made; its client's reading holds it back, and a
    client that goes away closes it. Where it raises, the connection is cut, which tells the client.
    """

    body: bytes = b"{}"
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    parts: Parts | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        return cls(json_text.encode(value), status)


def make_request_id() -> str:
    """Make an id that no other request has: random per process, then counted."""
    return f"{_PROCESS}-{next(_NUMBERS):x}"


def media_type(request: Request) -> str:
    """Return a body's media type in small letters, without parameters; "" where it has none."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form's body; of a repeated one the last counts, and files are left out.

    Raises `InvalidRequest` for a body that is not a form, or not in UTF-8.
    """
    fields: dict[str, list[bytes]] = {}
    kind, semicolon, parameters = request.headers.get("Content-Type", "").partition(";")
    try:
        parse_body_arguments(f"{kind.strip().lower()}{semicolon}{parameters}", request.body, fields, {})
        return {name: values[-1].decode() for name, values in fields.items()}
    except HTTPInputError as error:
        raise InvalidRequest(f"The form cannot be read: {error}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest("Got a form that is not UTF-8.") from None


def preflight(request: Request, methods: tuple[str, ...]) -> Reply:
    """Answer an OPTIONS on a path that accepts these methods."""
    listed = ", ".join(methods)
    wanted = request.headers.get("Access-Control-Request-Headers", "Content-Type")
    return Reply(
        b"",
        HTTPStatus.NO_CONTENT,
        headers=(
            ("Allow", listed),
            ("Access-Control-Allow-Methods", listed),
            ("Access-Control-Allow-Headers", wanted),
            ("Access-Control-Max-Age", _PREFLIGHT_SECONDS),
        ),
    )
