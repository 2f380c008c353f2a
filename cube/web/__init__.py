"""Tornado plumbing that both daemons share.

A daemon makes a table of `Route` objects, hands it to a `Service`, and serves that with a `Server`::

    routes = with_standard_routes("Cube collector", [Route("/1.0/event", {"POST": Operation(…)})], …)
    service = Service(routes, access=gate, telemetry=telemetry, max_body_bytes=…, max_sockets=…)
    server = Server(service, host="127.0.0.1", port=0)

Operations are ``async (Request) -> Reply``; they raise `CubeError`, which `refusal` turns into the
reply. WebSockets are `Conversation` objects.
"""

from cube.web.access import KEY_PARAMETER, Access, Gate, KeyRing, standard_credentials
from cube.web.cross_site import Hosts
from cube.web.memory_budget import Growing, Unfinished
from cube.web.metrics import Telemetry
from cube.web.proxies import Proxies
from cube.web.request import Reply, Request, kind_of, refusal
from cube.web.route import Operation, Parameter, Route
from cube.web.server import Server
from cube.web.service import Service
from cube.web.standard_routes import with_standard_routes
from cube.web.startup_checks import KeyReader, followed_keys, hosts_of, refuse_exposure, take_in, tls_context
from cube.web.websocket import Conversation, Link

__all__ = [
    "KEY_PARAMETER",
    "Access",
    "Conversation",
    "Gate",
    "Growing",
    "Hosts",
    "KeyReader",
    "KeyRing",
    "Link",
    "Operation",
    "Parameter",
    "Proxies",
    "Reply",
    "Request",
    "Route",
    "Server",
    "Service",
    "Telemetry",
    "Unfinished",
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
