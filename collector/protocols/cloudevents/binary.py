"""Binary mode: attributes in headers ``ce-…``, the data in the body."""

from __future__ import annotations

import re
from typing import Any, Final

from collector.protocols.cloudevents.event import CloudEvent, checked_attributes, content_of
from cube.web import Request

VERSION_HEADER: Final = "ce-specversion"

_PREFIX = "ce-"
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPED = re.compile(r"\\(.)")


def from_request(request: Request) -> CloudEvent:
    """Read a request in binary mode. Raises `InvalidRequest`."""
    given: dict[str, Any] = _attributes(request)
    media = request.headers.get("Content-Type") or None
    if media is not None:
        given["datacontenttype"] = media
    attributes, extensions = checked_attributes(given)
    return CloudEvent(attributes, extensions, content_of(request.body, media), as_json(request))


def as_json(request: Request) -> dict[str, Any]:
    """Return a request as one JSON object, for a refusal."""
    return {**_attributes(request), "body": request.body.decode(errors="replace")}


def header_text(value: str) -> str:
    """Decode a header's value (as Latin-1, which is how HTTP delivers it) to what its sender meant.

    Quotes around it go, then ``%XX`` becomes UTF-8, once. The JavaScript SDK sends Latin-1 and a bare
    ``%`` instead: what is not valid percent-encoded UTF-8 stays as it is.
    """
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return _PERCENT.sub(_decoded, _from_utf8(value))


def _attributes(request: Request) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in request.headers.get_all():
        if name.lower().startswith(_PREFIX):
            attributes.setdefault(name[len(_PREFIX) :].lower(), header_text(value))
    return attributes


def _from_utf8(value: str) -> str:
    """Read bytes that are UTF-8 as such: some senders do not encode them; Latin-1 seldom looks so."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _decoded(encoded: re.Match[str]) -> str:
    try:
        return bytes.fromhex(encoded[0].replace("%", "")).decode()
    except UnicodeDecodeError:
        return encoded[0]
