"""Datacoral's variant of the Snowplow protocol: keys, environments, and events passed through.

Seen of its Python client (datacoral-tracker-py 0.0.12), and read in its documentation of the pixel.
The paths and all else are Snowplow's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from collector.protocols.shared.dialect import Draft, Rejection
from cube import json_text
from cube.errors import InvalidRequest, described
from cube.model.environment import Credentials
from cube.web import Request

KEYS: Final = frozenset({"x_api_key", "apiKey"})
"""Parameters with an API key: of the Python client, and of the pixel."""

ENVIRONMENTS: Final = frozenset({"x_datacoral_environment", "env"})
"""Parameters that name an environment, of the same two."""

ENVIRONMENT_HEADER: Final = "X-Datacoral-Environment"
PASSTHROUGH_HEADER: Final = "X-Datacoral-Passthrough"

_SHOWN_BYTES = 64 * 1024
_IN_BODY = b"x_"  # no other body is decoded a second time
_LISTED = re.compile(r"\[u?(?P<quote>['\"])(?P<key>.*)(?P=quote)\]", re.DOTALL)


def credentials(request: Request) -> Credentials:
    """Find the keys and environments of a request: in its headers, its query, and each event of its body."""
    found = [*parse_qsl(request.query, errors="replace"), *_from_body(request)]
    keys = {plain_key(value) for name, value in found if name in KEYS}
    environments = {value.strip() for name, value in found if name in ENVIRONMENTS}
    environments.add(request.headers.get(ENVIRONMENT_HEADER, "").strip())
    return Credentials(frozenset(keys - {""}), frozenset(environments - {""}))


def plain_key(text: str) -> str:
    """Return a key as it is: given as a list, as the client's README does it, it is sent as ``['KEY']``."""
    found = _LISTED.fullmatch(text.strip())
    return found["key"] if found else text.strip()


def is_passthrough(request: Request) -> bool:
    """Tell whether a request brings events of no protocol, in Datacoral's wrapping."""
    return request.headers.get(PASSTHROUGH_HEADER, "").strip().lower() == "true"


def passed_through(request: Request) -> tuple[Sequence[Draft], Sequence[Rejection]]:
    """Make drafts of ``[{"data": …}, …]``: events of type ``passthrough``, at the time of their arrival."""
    try:
        body = json_text.decode_leniently(request.body)
    except InvalidRequest as error:
        return (), (Rejection(error.message, request.body[:_SHOWN_BYTES].decode(errors="replace")),)
    if not isinstance(body, list):
        return (), (Rejection(f"Got {described(body)}; accepted is an array of {{data}}.", body),)
    # One that has more than ``data`` is not a wrapping, and stands whole.
    wrapped = [item["data"] if isinstance(item, Mapping) and set(item) == {"data"} else item for item in body]
    pairs = zip(wrapped, body, strict=True)
    return [Draft("passthrough", data=data, source=item, fixed=True) for data, item in pairs], ()


def _from_body(request: Request) -> Iterator[tuple[str, str]]:
    if _IN_BODY not in request.body:
        return
    try:
        body = json_text.decode_leniently(request.body)
    except InvalidRequest:
        return  # told where the body is read
    events = body.get("data") if isinstance(body, Mapping) else None
    for event in events if isinstance(events, list) else ():
        for name in ("x_api_key", "x_datacoral_environment"):
            value = event.get(name) if isinstance(event, Mapping) else None
            if isinstance(value, str):
                yield name, value
