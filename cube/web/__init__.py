"""The HTTP and WebSocket server that both daemons share.

A daemon makes a table of `Route` objects, hands it to a `Service`, and serves that with a `Server`::

    routes = with_standard_routes("Cube collector", [Route("/1.0/event", {"POST": Operation(…)})], …)
    service = Service(routes, access=authenticator, telemetry=telemetry, max_body_bytes=…, max_sockets=…)
    server = serve(service, settings)

Operations are ``async (Request) -> Reply``; they raise `CubeError`, which `error_reply` turns into the
reply. WebSockets are `Session` objects, each with its `Connection`.
"""

from cube.web.access import KEY_PARAMETER, Authenticator, Hosts, standard_credentials
from cube.web.error_replies import MethodNotAllowed, error_reply
from cube.web.keys import KeyReader, KeyRing, following_keys, load_keys
from cube.web.memory_budget import MemoryBudget, Reservation
from cube.web.message import FORM, JSON_TYPE, MAX_PARAMETERS, MULTIPART, Reply, Request, form, media_type
from cube.web.proxies import Proxies
from cube.web.route import Begun, Operation, Parameter, Route
from cube.web.server import Server, serve
from cube.web.service import RequestEvents, Service, Telemetry
from cube.web.standard_routes import with_standard_routes
from cube.web.switch import switch
from cube.web.websocket import Connection, Session, SessionFactory
