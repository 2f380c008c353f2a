"""The network user: one browser, known again by the collector's cookie, unless it wishes not to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from cube.web import Request

ANONYMOUS: Final = "00000000-0000-0000-0000-000000000000"

_COOKIE = "sp"
_SECONDS = 365 * 86_400
_IN_COOKIES = re.compile(rf"(?:^|[;,])\s*{_COOKIE}=([^;,]*)")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_ATTRIBUTES = "Path=/; HttpOnly; Secure; SameSite=None"


def is_anonymous(request: Request) -> bool:
    """Tell whether a request asks that its sender's cookies and address be neither used nor kept."""
    return request.headers.get("SP-Anonymous", "").strip() == "*"


def network_user(request: Request, given: str | None, make_id: Callable[[], str]) -> str:
    """Return who sends a request: as the query says (``given``), or the cookie, or somebody new."""
    if is_anonymous(request):
        return ANONYMOUS
    if given is not None and _ID.fullmatch(given):
        return given
    return _from_cookie(request) or make_id()


def cookie_headers(request: Request, user: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that have a browser keep an id for a year, or drop the one that it has."""
    if not is_anonymous(request):
        return (("Set-Cookie", f"{_COOKIE}={user}; Max-Age={_SECONDS}; {_ATTRIBUTES}"),)
    if _from_cookie(request) is not None:
        return (("Set-Cookie", f"{_COOKIE}=; Max-Age=0; {_ATTRIBUTES}"),)
    return ()


def _from_cookie(request: Request) -> str | None:
    found = _IN_COOKIES.search(request.headers.get("Cookie", ""))
    return found[1] if found and _ID.fullmatch(found[1]) else None
