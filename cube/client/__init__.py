"""The Python client: emitters that send events, and an evaluator to ask.

    >>> from cube.client import Emitter, Evaluator
    >>> Emitter("http://127.0.0.1:1080").send([{"type": "request", "data": {"ms": 241}}])
    >>> Evaluator("http://127.0.0.1:1081").metrics("sum(request(ms))", step=60_000)

Importing it loads the standard library and msgspec, neither Tornado nor numpy; `SocketEmitter` loads
Tornado when it connects. Errors are those of `cube.errors`, as the daemons raised them.
"""

from cube.client.background import BackgroundEmitter
from cube.client.connection import COLLECTOR_URL, EVALUATOR_URL, Retries
from cube.client.drops import Drop
from cube.client.emitter import DatagramEmitter, Emitter, identified
from cube.client.evaluator import Evaluator, FoundEvent
from cube.client.pipeline import Counts
from cube.client.sockets import SocketEmitter

__all__ = [
    "COLLECTOR_URL",
    "EVALUATOR_URL",
    "BackgroundEmitter",
    "Counts",
    "DatagramEmitter",
    "Drop",
    "Emitter",
    "Evaluator",
    "FoundEvent",
    "Retries",
    "SocketEmitter",
    "identified",
]
