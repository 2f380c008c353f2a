"""WebSockets to the daemons, for asyncio programs; need Tornado, loaded when they connect."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from cube.client.connection import COLLECTOR_URL, Retries, error_of, key_headers, log_warning
from cube.client.emitter import RawEvent, batches, tell_warnings
from cube.errors import AccessDenied, InvalidEvent, InvalidRequest, Unavailable

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

PING_SECONDS = 20.0
"""How often a socket that only listens is asked whether it still stands."""

GOODBYE_SECONDS = 2.0
"""How long a closing socket is waited for."""


class SocketEmitter:
    """Sends events over one WebSocket, and waits for each message's acknowledgement.

        async with SocketEmitter("http://127.0.0.1:1080") as emitter:
            await emitter.send([{"type": "request", "data": {"ms": 241}}])

    ``key``: an API key. ``ack_seconds`` is how long an acknowledgement may take. When the socket breaks,
    another is opened and the message sent again with the same ids. One `send` runs at a time; others
    wait for it. ``warn``: as of an `Emitter`.
    """

    def __init__(
        self,
        url: str = COLLECTOR_URL,
        *,
        key: str | None = None,
        ack_seconds: float = 60.0,
        retries: Retries | None = None,
        warn: Callable[[str], None] = log_warning,
    ) -> None:
        self._warn = warn
        self._headers = key_headers(key)
        self._url = url.replace("http", "ws", 1).rstrip("/") + "/1.0/event/put"
        self._ack_seconds = ack_seconds
        self._retries = retries or Retries()
        self._tokens = itertools.count(1)
        self._socket: WebSocketClientConnection | None = None
        self._turn = asyncio.Lock()

    async def send(self, events: Iterable[RawEvent]) -> int:
        """Store events durably, in batches in their order, and return how many.

        Raises what the collector says; then the batches before the one at fault are stored.
        """
        sent = 0
        for batch in batches(events):
            await self.send_texts(batch)
            sent += len(batch)
        return sent

    async def send_texts(self, texts: Sequence[bytes]) -> None:
        """Store events that are JSON texts, in one message; raises as `send` does, and then stores none."""
        async with self._turn:
            await self._insist(b",".join(texts))

    async def close(self) -> None:
        """Close the socket; the next `send` opens another."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        await close_socket(socket)

    async def __aenter__(self) -> SocketEmitter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _insist(self, events: bytes) -> None:
        for attempt in range(self._retries.attempts + 1):
            try:
                async with asyncio.timeout(self._ack_seconds):
                    return await self._acknowledged(events)
            except (Unavailable, TimeoutError) as error:
                lost = (
                    error if isinstance(error, Unavailable) else _silent(self._url, "the connection is lost")
                )
                await self.close()
                if attempt == self._retries.attempts:
                    raise lost from None
                await asyncio.sleep(self._retries.pause(attempt, lost))
        return None

    async def _acknowledged(self, events: bytes) -> None:
        from tornado.websocket import WebSocketClosedError

        token = next(self._tokens)
        socket = self._socket = self._socket or await open_socket(self._url, self._headers)
        try:
            await socket.write_message(b'{"ack":%d,"events":[%b]}' % (token, events))
        except WebSocketClosedError:
            raise _silent(self._url, "the connection is lost") from None
        while (message := await socket.read_message()) is not None:
            answer: dict[str, Any] = msgspec.json.decode(message)
            if answer.get("ack") == token:
                tell_warnings(answer, self._warn)
                return _raise_refusal(answer)
        self._socket = None  # None was its last message: it is closed, and `close` would wait for another
        socket.close()
        raise _silent(self._url, "the connection is lost")


async def messages(
    url: str, requests: Sequence[Mapping[str, Any]], *, key: str | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """Send requests over one WebSocket, and yield the messages that answer them, until it is closed.

    ``url``: ``ws://HOST:PORT/…`` or ``wss://…``. A message that is no object is left out. Raises what an
    answer tells as an error, `AccessDenied`, and `Unavailable` where nothing answers, or it breaks.
    """
    socket = await open_socket(url, key_headers(key), ping_interval=PING_SECONDS)
    is_open = True
    try:
        for request in requests:
            await socket.write_message(msgspec.json.encode(request))
        while (text := await socket.read_message()) is not None:
            answer = msgspec.json.decode(text)
            if isinstance(answer, dict):
                yield _refused(answer)
        is_open = False
        socket.close()
    finally:
        if is_open:
            await close_socket(socket)
    raise _silent(url, "the connection is lost")


def _refused(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of an evaluator that is no error; raises the one that it tells."""
    if "error" not in answer:
        return answer
    seconds = answer.get("retry_after")
    content = msgspec.json.encode(answer)
    raise error_of(400, content) if seconds is None else error_of(503, content, str(seconds))


async def open_socket(url: str, headers: Mapping[str, str], **options: Any) -> WebSocketClientConnection:
    """Open a WebSocket to a daemon, with Tornado's options; raises `AccessDenied` or `Unavailable`."""
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import websocket_connect

    try:
        return await websocket_connect(HTTPRequest(url, headers=dict(headers)), **options)
    except HTTPClientError as error:
        if error.code in (401, 403):
            message = f"{url} answered {error.code}; accepted is an API key that may do this."
            raise AccessDenied(message) from None
        raise _silent(url, error.code) from None
    except OSError as error:
        raise _silent(url, error) from None


async def close_socket(socket: WebSocketClientConnection) -> None:
    """Close a WebSocket, and wait a moment for the other side to do so."""
    socket.close()
    # Tornado tells the end of the closing handshake as a message of None, once; on a socket that
    # broke it may have been read already.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            while await socket.read_message() is not None:
                pass


def _silent(url: str, reason: object) -> Unavailable:
    return Unavailable(f"Nothing answers at {url} ({reason}); `cube serve` starts both daemons.")


def _raise_refusal(answer: dict[str, Any]) -> None:
    message = answer.pop("error", None)
    if message is None:
        return
    del answer["ack"]
    if "retry_after" in answer:
        raise Unavailable(message, retry_after_seconds=answer["retry_after"], answered=True)
    kind = InvalidEvent if "index" in answer else InvalidRequest
    raise kind(message, **answer)
