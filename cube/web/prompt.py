"""Requests whose head is known, byte for byte but for the body's length, answered without reading it again.

A client that keeps its connection sends the same head with every event; reading, checking and routing it
takes several times as long as the event. So each connection remembers some heads that were read and checked
in full, and what came of them. Who may call is asked anew each time. Whatever is not exactly so (another
head, one in parts, a request behind it) is left to Tornado, which finds it unread.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from cube.model.environment import Caller, Credentials
from cube.web.access import standard_credentials
from cube.web.connection import Phase, Stream
from cube.web.gathering import reply_to_failure
from cube.web.message import Reply, Request, make_request_id
from cube.web.reply_writer import connection_line, cors_lines, reply_head
from cube.web.route import Begin, Operation, Route
from cube.web.service import Service

READ_BYTES: Final = 64 * 1024
"""A request that is longer takes the usual way."""

MAX_HEADS: Final = 8
MAX_HEAD_BYTES: Final = 2_048

_VERSION: Final = "HTTP/1.1"
_LENGTH: Final = re.compile(rb"\r\nContent-Length: ([0-9]{1,5})\r\n", re.IGNORECASE)
_TOLD: Final = re.compile(rb"content-length", re.IGNORECASE)
_OTHERWISE: Final = ("Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class KnownHead:
    """What came of a head: the request without its body, what it is for, and how its usual reply begins.

    ``request``: its headers tell another body's length. ``written``: a reply, and its head before and behind
    the request's id. ``caller``: the last one that was admitted with it, whose page was found to be one that
    may call.
    """

    request: Request
    route: Route
    operation: Operation
    begin: Begin
    has_own_id: bool
    credentials: Credentials
    written: tuple[Reply, bytes, bytes] | None = field(default=None)
    caller: Caller | None = field(default=None)

    def again(self, body: bytes) -> Request:
        """Return the request once more, with another body and another id, if that was not the client's."""
        request = Request.__new__(Request)
        request.__dict__.update(self.request.__dict__)
        request.body = body
        request.caller = None
        if not self.has_own_id:
            request.id = make_request_id()
        return request


HeadKey: TypeAlias = tuple[bytes, int]
"""A head without the digits of its body's length, and where they stood."""


class PromptRequests:
    """What one connection knows of its client's heads; not of TLS, whose bytes are Tornado's to read."""

    def __init__(self, service: Service, stream: Stream) -> None:
        self._service = service
        self._stream = stream
        self._most = min(READ_BYTES - MAX_HEAD_BYTES, service.max_body_bytes)
        self._heads: dict[HeadKey, KnownHead] = {}
        self._met: dict[int, None] = {}  # heads that came once, by their hashes
        self._is_busy = False
        self._has_more = False
        self._part = b""  # of a request whose head is known
        self.head = b""
        """The one that was read last."""

    def learn(self, request: Request, route: Route | None, operation: Operation | None, version: str) -> None:
        """Remember the last head, which was read and checked, where its like can be answered from here.

        The first one at once, others when they come for the second time.
        """
        headers = request.headers
        if operation is None or operation.begin is None or route is None or version != _VERSION:
            return
        if headers.get("Connection", "keep-alive").lower() != "keep-alive":
            return
        if any(name in headers for name in _OTHERWISE) or type(self._stream) is not Stream:
            return
        key, _ = _parted(self.head)
        if key is None or len(self.head) > MAX_HEAD_BYTES or len(_TOLD.findall(self.head)) > 1:
            return  # of two lengths, which Tornado lets pass where they are equal, one alone is read here
        if key in self._heads or (self._heads and not self._comes_again(key)):
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        has_own_id = request.id == headers.get("X-Request-Id")
        credentials = standard_credentials(headers, request.query)
        known = KnownHead(request, route, operation, operation.begin, has_own_id, credentials)
        known.request = known.again(b"")  # the first one's body comes, and would be held as long as this
        self._heads[key] = known

    def _comes_again(self, key: HeadKey) -> bool:
        """Tell whether a head has come before; where each has an id of its own, to keep them is in vain."""
        met = hash(key)
        if met in self._met:
            del self._met[met]
            return True
        if len(self._met) >= MAX_HEADS:
            del self._met[next(iter(self._met))]
        self._met[met] = None
        return False

    async def serve(self) -> None:
        """Answer while heads are known; return when something else is there to be read, or all is over."""
        if self._heads and not self._stream.closed():
            self._has_more = False
            await self._stream.divert(self._read, self._take)

    def _read(self) -> None:
        """Take what has arrived; it is exactly one request, nearly always."""
        if self._is_busy:  # the next request, or the end
            self._has_more = True
            self._stream.rest()
            return
        try:
            data = self._stream.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._stream.close()
            return
        if not data:
            self._stream.close()
            return
        self._stream.received += len(data)
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Begin a request if its head is known; leave it to Tornado if not."""
        if self._part:
            data, self._part = self._part + data, b""
        end = data.find(b"\r\n\r\n") + 4
        key, length = _parted(data[:end])
        known = None if key is None else self._heads.get(key)
        size = end + length
        if known is None or not 0 < length <= self._most or len(data) > size or self._service.leaving:
            self._stream.resume(data)
        elif len(data) < size:
            self._wait_for_rest(data)
        else:
            self._begin(known, known.again(data[end:]))

    def _wait_for_rest(self, data: bytes) -> None:
        self._part = data
        if self._stream.phase is not Phase.BODY:
            self._stream.enter(Phase.BODY)
        self._stream.hold(len(data))

    def _begin(self, known: KnownHead, request: Request) -> None:
        began = time.monotonic()
        self._is_busy = True
        self._stream.turn += 1
        self._stream.enter(Phase.ANSWER)
        self._service.began(request)
        answer = partial(self._answer, known, request, began)
        try:
            self._admit(known, request)
            self._service.bodies.take(len(request.body))
        except Exception as error:
            answer(0, reply_to_failure(request, error))
            return
        self._service.gathering.add(known.begin, request, partial(answer, len(request.body)))

    def _admit(self, known: KnownHead, request: Request) -> None:
        """Do what `Service.admitted_operation` does; of its answers only who calls may have changed."""
        scope = known.operation.scope
        if scope is None or known.operation.admit is not None:
            self._service.admitted_operation(request, known.route)
            return
        self._service.refuse_when_stopping()
        access = self._service.access
        caller = request.caller = access.admit(known.credentials, scope)
        if caller is not known.caller:
            access.check_page(request.headers, caller, scope)
            known.caller = caller

    def _answer(self, known: KnownHead, request: Request, began: float, held: int, reply: Reply) -> None:
        """Send a reply, and be ready for the next request; what does not fit now Tornado sends."""
        self._is_busy = False
        last = self._service.leaving
        if not self._stream.closed():
            self._send(self._head(known, request, reply, last) + reply.body, last)
        self._service.bodies.give_back(held)
        self._service.answered(request, reply.status, time.monotonic() - began)
        self._service.ended(request)

    def _send(self, data: bytes, last: bool) -> None:
        stream = self._stream
        try:
            sent = stream.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            stream.close()
            return
        stream.sent += sent
        if sent < len(data):
            if not last:
                stream.enter(Phase.HEAD)  # the next request is read meanwhile
            stream.resume()
            written = stream.write(data[sent:])
            if last:
                written.add_done_callback(lambda _: stream.close())
        elif last:
            stream.close()
        else:
            stream.enter(Phase.HEAD)
            if self._has_more:
                stream.resume()

    def _head(self, known: KnownHead, request: Request, reply: Reply, last: bool) -> bytes:
        """Return a reply's head; that of the usual one is made once, but for the request's id."""
        if known.written is not None and known.written[0] is reply and not last:
            return known.written[1] + request.id.encode() + known.written[2]
        line = connection_line(request, _VERSION, last=last)
        head = reply_head(reply, request, cors_lines(self._service.access, request, credentials=False), line)
        if "Origin" not in request.headers and not last:
            before, id, behind = head.partition(request.id.encode())
            if id and known.written is None:
                known.written = (reply, before, behind)
        return head


def _parted(head: bytes) -> tuple[HeadKey | None, int]:
    """Return the key of a head, and the length of its body; None and 0 where it tells of none.

    Two heads of one key differ in those digits alone: so what was found of one's framing holds for both.
    """
    found = _LENGTH.search(head)
    if found is None:
        return None, 0
    start, end = found.span(1)
    return (head[:start] + head[end:], start), int(found[1])
