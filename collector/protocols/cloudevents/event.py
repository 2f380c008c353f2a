"""One CloudEvent: its attributes checked, its data read, and what it is as an event of Cube."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cube.errors import InvalidRequest, described
from cube.json_text import decode, decode_leniently
from cube.model import instant
from cube.model.event import ABSENT, MAX_ID_LENGTH

VERSIONS: Final = ("1.0", "0.3")

_REQUIRED = ("id", "source", "type")
_OPTIONAL = ("subject", "dataschema", "datacontenttype", "time")
_DATA = frozenset(("data", "data_base64", "datacontentencoding"))
_OLD_NAMES = {"schemaurl": "dataschema"}  # of version 0.3
_KNOWN = frozenset(("specversion", *_REQUIRED, *_OPTIONAL)) | _DATA
_CHARSETS = frozenset(("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16"))
_CHARSET = re.compile(r"charset=\"?([A-Za-z0-9_-]+)", re.IGNORECASE)
_MEANT = re.compile(rb"""(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*[\[\]{"])""")  # an object or array, however broken
_JSON_MEDIA = re.compile(r"[^/;\s]+/(?:[^;\s]+\+)?json\s*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event; its required attributes are text and not empty, its time, if any, an instant.

    ``content``: ``data``, or ``data_base64`` (text) where the data are bytes, or nothing.
    ``given``: what the client sent.
    """

    attributes: Mapping[str, str]
    extensions: Mapping[str, Any]
    content: Mapping[str, Any]
    given: Any

    @property
    def type(self) -> str:
        return self.attributes["type"]

    @property
    def time(self) -> Any:
        """When it happened; a number (as text) in its likely unit; absent is the arrival."""
        return instant.parse_any_unit(self.attributes["time"]) if "time" in self.attributes else ABSENT

    @property
    def key(self) -> str:
        """What identifies it: source and id together, as the specification says; a hash if too long."""
        key = f"{self.attributes['source']}\n{self.attributes['id']}"
        return key if len(key) <= MAX_ID_LENGTH else hashlib.sha256(key.encode(errors="replace")).hexdigest()

    def as_data(self) -> dict[str, Any]:
        data: dict[str, Any] = {name: text for name, text in self.attributes.items() if name != "time"}
        if self.extensions:
            data["extensions"] = self.extensions
        return data | dict(self.content)


def from_json(given: Any) -> CloudEvent:
    """Read one object of the JSON event format. Raises `InvalidRequest`."""
    if not isinstance(given, dict):
        raise InvalidRequest(f"Got {described(given)}; accepted is the object of a CloudEvent.")
    attributes, extensions = checked_attributes(given)
    return CloudEvent(attributes, extensions, _json_content(given, attributes), given)


def checked_attributes(given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the attributes of the specification, and the extensions. Raises `InvalidRequest`.

    An attribute that is null is not there.
    """
    if given.get("specversion") not in VERSIONS:
        version = described(given.get("specversion"))
        raise InvalidRequest(f"Got the specversion {version}; accepted are {' and '.join(VERSIONS)}.")
    there = {_OLD_NAMES.get(name, name): value for name, value in given.items() if value is not None}
    attributes = {name: _text_of(name, there[name]) for name in (*_REQUIRED, *_OPTIONAL) if name in there}
    for name in _REQUIRED:
        if name not in attributes:
            raise InvalidRequest(f"The event has no {name}; accepted are events with id, source and type.")
    if "time" in attributes:
        instant.parse_any_unit(attributes["time"])
    return attributes, {name: value for name, value in there.items() if name not in _KNOWN}


def content_of(data: bytes, media: str | None) -> dict[str, Any]:
    """Read data that came as bytes: JSON as such, text as text, the rest as base64. Raises `InvalidRequest`.

    Without a media type they are what they can be read as (the SDKs send JSON so).
    """
    if not data:
        return {}
    if media is None:
        try:
            return {"data": _json(data)}
        except InvalidRequest:
            media = "text/plain"
    if _JSON_MEDIA.match(media):
        return {"data": _json(data)}
    if media.strip().lower().startswith("text/"):
        return _text(data, media)
    return _bytes(data)


def _text_of(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"Got {described(value)} as {name}; accepted is text that is not empty.")
    return value


def _json_content(given: Mapping[str, Any], attributes: Mapping[str, str]) -> dict[str, Any]:
    data, encoded = given.get("data"), given.get("data_base64")
    if data is not None and encoded is not None:
        raise InvalidRequest("Got both data and data_base64; accepted is one of them.")
    if given["specversion"] == "0.3" and given.get("datacontentencoding") == "base64":
        data, encoded = None, data
    if encoded is None:
        return {} if data is None else {"data": data}
    media = attributes.get("datacontenttype")
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError):
        raise InvalidRequest(f"Got {described(encoded)} as data_base64; accepted is base64.") from None
    return _bytes(decoded) if media is None else content_of(decoded, media)


def _json(data: bytes) -> Any:
    """Read JSON. Raises `InvalidRequest`.

    SDKs put no quotes around text in binary mode: what is not JSON is text as it stands, unless it begins
    as an object or an array does.
    """
    is_nested = data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    try:
        return decode_leniently(data) if is_nested else decode(data)
    except InvalidRequest:
        if not _MEANT.match(data):
            with suppress(UnicodeDecodeError):
                return data.decode()
        raise


def _text(data: bytes, media: str) -> dict[str, Any]:
    found = _CHARSET.search(media)
    charset = found[1].lower() if found else "utf-8"
    if charset in _CHARSETS:
        with suppress(UnicodeDecodeError):
            return {"data": data.decode(charset)}
    return _bytes(data)


def _bytes(data: bytes) -> dict[str, Any]:
    return {"data_base64": base64.b64encode(data).decode()}
