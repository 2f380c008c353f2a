"""Heads of requests as they stand on the wire: what RFC 9112 has servers refuse, and Tornado lets through.

Tornado closes a connection with a bare status line on a head that it cannot read, and raises from its own
coroutine, behind our back, on a framing that it cannot read. Both are settled here before it looks.
"""

from __future__ import annotations

import re
from typing import NoReturn

from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine, parse_request_start_line

from cube.errors import InvalidRequest, TooLarge, shown
from cube.web.request import UnsupportedTransfer

LENGTH_DIGITS = 18
"""A length with more digits than these is over every limit."""

_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
# RFC 3986's host and port without a comma, which is what two Host lines become on their way.
_HOST = re.compile(r"(\[[0-9A-Za-z:.%_~-]+\]|[A-Za-z0-9._~%!$&'()*+;=-]*)(:[0-9]*)?")
_OUTSIDE_ASCII = re.compile(r"[\x80-\xff]")


def checked(line: str, headers: HTTPHeaders) -> str:
    """Return the line of a request as Tornado shall read it, whose framing and host are beyond doubt.

    ``line``: decoded as Latin-1. Bytes outside ASCII come out percent-encoded, so that they count as
    UTF-8 like those that a client encoded itself; an absolute target comes out as its path, and its host
    in ``headers``, as RFC 9112, section 3.2.2, has it. Raises `InvalidRequest`, `TooLarge` and
    `UnsupportedTransfer`.
    """
    start = _parsed(line if line.isascii() else _OUTSIDE_ASCII.sub(_encoded, line))
    _check_host(start, headers)
    _check_framing(start, headers)
    if not start.path.startswith("/"):
        start = _originated(start, headers)
    return f"{start.method} {start.path} {start.version}"


def malformed(error: HTTPInputError) -> InvalidRequest:
    """Say that Tornado cannot read a head; its own words may quote a key."""
    named = str(error).partition(" '")[0].partition(' "')[0].rstrip(":")
    return InvalidRequest(f"The request's head cannot be read ({named}); accepted is HTTP/1.1 (RFC 9112).")


def _parsed(line: str) -> RequestStartLine:
    try:
        return parse_request_start_line(line)
    except HTTPInputError as error:
        raise malformed(error) from None


def _encoded(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _check_host(start: RequestStartLine, headers: HTTPHeaders) -> None:
    hosts = headers.get_list("Host")
    if len(hosts) > 1:
        raise InvalidRequest(f"Got {len(hosts)} Host headers; accepted is one.")
    if not hosts and start.version != "HTTP/1.0":  # which did not know it; probes of balancers send that
        raise InvalidRequest("Got no Host header; accepted is one.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        _refuse_host(hosts[0])


def _refuse_host(host: str) -> NoReturn:
    raise InvalidRequest(f"Got the Host {shown(host)}; accepted is a name or an address, with a port or not.")


def _originated(start: RequestStartLine, headers: HTTPHeaders) -> RequestStartLine:
    found = _ABSOLUTE.fullmatch(start.path)
    if found is None:  # "*", or a CONNECT's host and port: nothing is there
        return start
    host, rest = found.groups()
    if not host or not _HOST.fullmatch(host):
        _refuse_host(host)
    headers["Host"] = host
    return start._replace(path=rest if rest.startswith("/") else f"/{rest}")


def _check_framing(start: RequestStartLine, headers: HTTPHeaders) -> None:
    lengths = {part.strip() for line in headers.get_list("Content-Length") for part in line.split(",")}
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        _check_coding(coding, start, with_length=bool(lengths))
    if lengths:
        headers["Content-Length"] = _length(lengths)


def _check_coding(coding: str, start: RequestStartLine, *, with_length: bool) -> None:
    if with_length or start.version == "HTTP/1.0":
        other = "a Content-Length" if with_length else "HTTP/1.0"
        raise InvalidRequest(f"Got a Transfer-Encoding with {other}; accepted is one way to frame a body.")
    if coding.strip().lower() != "chunked":
        raise UnsupportedTransfer(f"Got the transfer coding {shown(coding)}; accepted is chunked.")


def _length(lengths: set[str]) -> str:
    length = next(iter(lengths))
    if len(lengths) > 1 or not (length.isascii() and length.isdigit()):
        # What was got may be a key that strayed here, and this is logged.
        raise InvalidRequest("Got a Content-Length that is not one whole number; accepted are digits alone.")
    length = length.lstrip("0") or "0"
    if len(length) > LENGTH_DIGITS:
        raise TooLarge(f"Got a Content-Length of {len(length)} digits, which is over every limit.")
    return length
