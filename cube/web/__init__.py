"""Tornado plumbing that both daemons share.

A daemon makes a table of `Route` objects, hands it to a `Service`, and serves that with a `Server`::

    routes = with_standard_routes("Cube collector", [Route("/1.0/event", {"POST": Operation(…)})], …)
    service = Service(routes, access=authenticator, telemetry=telemetry, max_body_bytes=…, max_sockets=…)
    server = Server(service, host="127.0.0.1", port=0)

Operations are ``async (Request) -> Reply``; they raise `CubeError`, which `refusal` turns into the
reply. WebSockets are `Session` objects.
"""

from cube.web.access import KEY_PARAMETER, Access, Authenticator, KeyRing, standard_credentials
from cube.web.cross_site import Hosts
from cube.web.memory_budget import MemoryBudget, Reservation
from cube.web.metrics import Telemetry
from cube.web.proxies import Proxies
from cube.web.request import Reply, Request, kind_of, refusal
from cube.web.request_events import RequestEvents
from cube.web.route import Operation, Parameter, Route
from cube.web.server import Server
from cube.web.service import Service
from cube.web.standard_routes import with_standard_routes
from cube.web.startup_checks import KeyReader, followed_keys, hosts_of, refuse_exposure, take_in, tls_context
from cube.web.websocket import Connection, Session

__all__ = [
    "KEY_PARAMETER",
    "Access",
    "Authenticator",
    "Connection",
    "Hosts",
    "KeyReader",
    "KeyRing",
    "MemoryBudget",
    "Operation",
    "Parameter",
    "Proxies",
    "Reply",
    "Request",
    "RequestEvents",
    "Reservation",
    "Route",
    "Server",
    "Service",
    "Session",
    "Telemetry",
    "followed_keys",
    "hosts_of",
    "kind_of",
    "refusal",
    "refuse_exposure",
    "standard_credentials",
    "take_in",
    "tls_context",
    "with_standard_routes",
]
