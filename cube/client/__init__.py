"""The Python client: emitters that send events, and clients to ask; docs/client.md shows them at work.

    >>> from cube.client import BackgroundEmitter, Client
    >>> BackgroundEmitter("http://127.0.0.1:1080").emit("request", {"ms": 241})
    >>> Client("http://127.0.0.1:1081").metric("sum(request(ms))", step="1m", start="-1h").pandas()

Importing it loads the standard library and msgspec, neither Tornado nor numpy; what has WebSockets loads
Tornado when it connects, and tables load pyarrow. Errors are those of `cube.errors`, as the daemons raised
them.
"""

from cube.client.asynchronous import AsyncClient, AsyncEmitter
from cube.client.background import BackgroundEmitter
from cube.client.connection import COLLECTOR_URL, EVALUATOR_URL, Retries
from cube.client.drops import Drop
from cube.client.emitter import DatagramEmitter, Emitter, identified
from cube.client.evaluator import Evaluator, FoundEvent
from cube.client.log_handler import EventHandler
from cube.client.pipeline import Counts
from cube.client.queries import Client, EventPages
from cube.client.requests import AsgiRequests, WsgiRequests, tell_requests
from cube.client.sockets import SocketEmitter
from cube.client.table import AnswerColumns, AnswerTable

__all__ = [
    "COLLECTOR_URL",
    "EVALUATOR_URL",
    "AnswerColumns",
    "AnswerTable",
    "AsgiRequests",
    "AsyncClient",
    "AsyncEmitter",
    "BackgroundEmitter",
    "Client",
    "Counts",
    "DatagramEmitter",
    "Drop",
    "Emitter",
    "Evaluator",
    "EventHandler",
    "EventPages",
    "FoundEvent",
    "Retries",
    "SocketEmitter",
    "WsgiRequests",
    "identified",
    "tell_requests",
]
