"""What a handler gets: a `Request`, its query, and its body where that is a form."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_body_arguments

from cube.errors import InvalidQuery, InvalidRequest
from cube.model.environment import Caller

MAX_PARAMETERS = 100
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


class Request:
    """One HTTP request, its body read and inflated.

    ``path`` and ``query`` are as sent, without the question mark; bytes outside ASCII are percent-encoded.
    ``id`` is the caller's ``X-Request-Id`` where that is harmless, else made here; it stands in the reply
    and in the log. ``is_socket``: whether it has opened a WebSocket.
    ``captures``: the parts of the path that a route in braces matched, decoded. ``route``: the path with
    those parts in braces, "" where nothing is there; it and not ``path`` is for logs and metrics, for a
    part may be a key. ``caller``: who was admitted; None before that, and where nobody asks. ``remote``,
    ``scheme``: the client's address, and http or https, as the connection or a trusted proxy tells.
    """

    __slots__ = (
        "body",
        "caller",
        "captures",
        "headers",
        "id",
        "is_socket",
        "method",
        "path",
        "query",
        "remote",
        "route",
        "scheme",
    )

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

    def parameters(self) -> Mapping[str, str]:
        """Return the query's parameters; a repeated one or one that is not UTF-8 is an `InvalidQuery`."""
        try:
            pairs = parse_qsl(
                self.query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
            )
        except UnicodeDecodeError:
            raise InvalidQuery("Got a query that is not UTF-8.") from None
        except ValueError:
            raise InvalidQuery(f"Got more than {MAX_PARAMETERS} parameters.") from None
        parameters: dict[str, str] = {}
        for name, value in pairs:
            if name in parameters:
                raise InvalidQuery(f"Got the parameter {name[:80]} twice; accepted is one.", field=name[:80])
            parameters[name] = value
        return parameters


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


def _id_maker() -> Callable[[], str]:
    prefix, numbers = os.urandom(5).hex(), itertools.count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


make_request_id = _id_maker()
"""Make an id that no other request has: random per process, then counted."""
