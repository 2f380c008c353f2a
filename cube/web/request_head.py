"""What a request's head decides: whether it may go on, and which operation it is for."""

from __future__ import annotations

from cube.errors import NotFound
from cube.model.environment import Scope
from cube.settings import HttpSettings
from cube.web.access import Access, standard_credentials
from cube.web.request import HeadTooLarge, MethodNotAllowed, Request, UrlTooLong
from cube.web.route import Operation, Route


def check_head(request: Request, http: HttpSettings) -> None:
    """Raise `UrlTooLong` or `HeadTooLarge` for a head over the bounds."""
    if len(request.path) + len(request.query) >= http.url_bytes:
        raise UrlTooLong(f"The URL is over {http.url_bytes} bytes, which is the limit.")
    if len(request.headers) > http.headers:
        raise HeadTooLarge(f"Got {len(request.headers)} headers; accepted are {http.headers}.")


def is_upgrade(request: Request) -> bool:
    """Tell whether a request asks for a WebSocket."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in headers.get("Connection", "").lower()
    )


def admitted_operation(request: Request, route: Route | None, access: Access) -> Operation | None:
    """Return what a request is for, once its head lets it go on; None is an OPTIONS without an operation.

    Raises `NotFound`, `MethodNotAllowed`, `Unauthenticated` and `AccessDenied`.
    """
    if route is None:
        raise NotFound(f"There is nothing at {request.path[:200]}; /openapi.json lists what is.")
    operation = route.operation(request.method)
    if operation is None and request.method != "OPTIONS":
        raise MethodNotAllowed(request.method, route.methods)
    if operation is not None and operation.scope is not None:
        admit(request, access, operation.scope)
    else:  # a dialect's caller is known, and checked again, once its body is read
        access.check_page(request.headers, None)
    if operation is not None and operation.admit is not None:
        operation.admit(request)
    return operation


def admit(request: Request, access: Access, scope: Scope) -> None:
    """Note who calls; raises `Unauthenticated` or `AccessDenied` for who, or whose page, may not."""
    credentials = standard_credentials(request.headers, request.query)
    request.caller = access.admit(credentials, scope)
    access.check_page(request.headers, request.caller, scope)
