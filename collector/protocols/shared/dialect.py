"""What a dialect is made of: endpoints that translate requests, without I/O, clock or log."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, TypeAlias, TypeVar

from cube.errors import CubeError, InvalidRequest, TooLarge
from cube.expression.nodes import EventExpression
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.model.tier import Span
from cube.store.find import Found
from cube.web import Parameter, Reply, Request

T = TypeVar("T")

MAX_ITEMS: Final = 20_000
"""Events of one request: millions fit into a body, and each takes a thousand times its size."""

MAX_ENTRIES: Final = 100_000
"""What one dialect remembers in one environment; a collectd host has some hundreds of series."""

_MAX_KEY_LENGTH = 64


class DialectState:
    """What a dialect remembers from one request to the next: bounded, in memory, for one environment.

    A restart, or another process, forgets it; the least recently used goes first. Large requests use it
    in a thread.
    """

    def __init__(self, capacity: int = MAX_ENTRIES) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._lock = Lock()

    def get(self, kind: str, key: str) -> Any:
        """Return what was put last; None where nothing is known."""
        entry = (kind, _short(key))
        with self._lock:
            if entry not in self._entries:
                return None
            self._entries.move_to_end(entry)
            return self._entries[entry]

    def put(self, kind: str, key: str, value: Any) -> None:
        entry = (kind, _short(key))
        with self._lock:
            self._entries[entry] = value
            self._entries.move_to_end(entry)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)


def _short(key: str) -> str:
    """Keep clients from filling the memory with long keys."""
    if len(key) <= _MAX_KEY_LENGTH:
        return key
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest() + "#"


class UnsupportedMediaType(InvalidRequest):
    """The body is in a format that the protocol does not have: a dialect answers it by 415."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a translation may know beside its request.

    ``now``: milliseconds since 1970. ``environment``: the name of the one that the caller may use.
    ``key``: the id, which is not a secret, of the caller's key; None for nobody in particular.
    """

    now: int
    environment: str
    state: DialectState
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One event as its client meant it; the shared part names its type and has `Event.parse` check it.

    ``name``: the event's foreign name. It becomes the type by `naming.slug`, unless the environment has too
    many types of this dialect. ``fixed``: the name is a type as it stands, a word of the protocol.
    ``time``: milliseconds, or text as `cube.model.instant.parse` takes it; `ABSENT` is the arrival.
    ``id``: `ABSENT` where the protocol has none. ``source``: what the client sent, for the rejection if
    the draft turns out not to be a valid event.
    """

    name: str
    time: Any = ABSENT
    id: Any = ABSENT
    data: Any = ABSENT
    source: Any = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """What was not understood: it becomes an event ``cube_rejected`` {dialect, reason, payload}.

    ``reason``: one sentence. ``payload``: what the client sent, any JSON; keys in it and its excess
    length are cut by the shared part.
    """

    reason: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Translation:
    """What one request holds.

    ``reply``: makes the reply once all is stored, from the rejections: those of the translation, then
    those of drafts that were not valid events, in order.
    """

    drafts: Sequence[Draft]
    reply: Callable[[Sequence[Rejection]], Reply]
    rejections: Sequence[Rejection] = ()


def check_count(count: int) -> None:
    """Raise `TooLarge` where a request holds more than `MAX_ITEMS`, before anything is made of them."""
    if count > MAX_ITEMS:
        raise TooLarge(f"Got {count} events; accepted are {MAX_ITEMS} in one request.", limit=MAX_ITEMS)


def translate_each(
    items: Iterable[T],
    draft: Callable[[T], Draft | None],
    reply: Callable[[Sequence[Rejection]], Reply],
    *,
    payload: Callable[[T], Any] = lambda item: item,
    rejections: Sequence[Rejection] = (),
) -> Translation:
    """Make a draft of each item (none where it is None), a rejection where that raises `InvalidRequest`.

    ``payload``: what an item's rejection shows. ``rejections``: those made before.
    """
    drafts: list[Draft] = []
    rejected = [*rejections]
    for item in items:
        try:
            made = draft(item)
        except InvalidRequest as error:
            rejected.append(Rejection(error.message, payload(item)))
        else:
            drafts += () if made is None else (made,)
    return Translation(drafts, reply, rejected)


Translate: TypeAlias = Callable[[Request, RequestContext], Translation]
"""Raises `InvalidRequest` where nothing of the request can be understood."""


@dataclass(frozen=True, slots=True)
class Search:
    """A page of the caller's events, newest first, and the reply made of it.

    ``limit`` (from 1), ``offset``: as in `cube.store.find.find`; fewer than ``limit`` may be found (see
    `shared.reading`). ``reply``: gets what was found and how many there are in all.
    """

    expression: EventExpression
    span: Span
    limit: int
    offset: int
    reply: Callable[[Sequence[Found], int], Reply]


Read: TypeAlias = Callable[[Request, RequestContext], Search | Reply]
"""Says what a request asks for, or answers it where that takes no store. Raises `InvalidRequest`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Paths of a dialect, and what their methods do.

    ``paths``: a part in braces (``/collect/{event_type}``) matches one part of the request's path and
    stands in `Request.captures`. ``reads``: methods that answer from the store instead, for callers
    with the scope read (see `shared.reading`); ``parameters``: what they take in the query.
    ``options``: answers an OPTIONS that is not a CORS preflight. ``sniffs_gzip``, ``unpacks``: see
    `cube.web.Operation`.
    ``socket``: reads the messages of a WebSocket, each as the body of a POST; its replies tell how many were
    ``rejected`` (see `shared.message_session`).
    ``claims``: of a path that another dialect has as well, which requests are for this one, by their head.
    """

    paths: Sequence[str]
    translate: Mapping[str, Translate]
    summary: str
    content_type: str = "application/json"
    body: Mapping[str, Any] | None = field(default_factory=dict)
    options: Callable[[Request], Reply | None] | None = None
    reads: Mapping[str, Read] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    sniffs_gzip: bool = False
    unpacks: tuple[str, ...] = ()
    socket: Translate | None = None
    claims: Callable[[Request], bool] | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """A foreign protocol.

    ``credentials``: finds keys and environments in the places that this protocol has for them, beside
    the standard ones (headers, ``api_key``), the body included; values that differ refuse the request.
    ``refuse``: makes the reply that tells an error in the protocol's own form (its status too: a
    client's retries hang on it), errors from before the translation included, such as a method that
    is not there; None is the native form. Retry-After, Allow and WWW-Authenticate are added.
    ``too_large``: the reply to a request that is too large and leaves a dead letter, for protocols whose
    clients would send it forever; None: it is refused. ``plain_key``: reads a key as clients of this
    protocol write it, wherever it stood. ``keys_in_body``: whether a key may stand there alone; else, and
    where a head has one, nobody's body is read before that key is known.
    ``spooled``: the status of a success that is only in the spool yet; another than 202 for protocols whose
    clients take that for a failure.
    ``password_is_key``: of ``Authorization: Basic`` the password is the key, where there is one.
    ``secrets``: property names, at any depth of a payload, whose values are never stored (in any
    writing: ``x_api_key`` is ``X-Api-Key``).
    """

    name: str
    endpoints: Sequence[Endpoint]
    credentials: Callable[[Request], Credentials] | None = None
    refuse: Callable[[CubeError, Request], Reply] | None = None
    secrets: frozenset[str] = frozenset()
    too_large: Reply | None = None
    plain_key: Callable[[str], str] = str
    keys_in_body: bool = False
    spooled: int = 202
    password_is_key: bool = False
