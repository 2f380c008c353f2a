"""Bodies that are forms."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httputil import HTTPInputError, parse_body_arguments

from cube.errors import InvalidRequest
from cube.web.request import Request

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def media_type(request: Request) -> str:
    """Return a body's media type in small letters, without parameters; "" where it has none."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form's body; of a repeated one the last counts, and files are left out.

    Raises `InvalidRequest` for a body that is not a form, or not in UTF-8.
    """
    fields: dict[str, list[bytes]] = {}
    kind, semicolon, parameters = request.headers.get("Content-Type", "").partition(";")
    try:
        parse_body_arguments(f"{kind.strip().lower()}{semicolon}{parameters}", request.body, fields, {})
        return {name: values[-1].decode() for name, values in fields.items()}
    except HTTPInputError as error:
        raise InvalidRequest(f"The form cannot be read: {error}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest("Got a form that is not UTF-8.") from None
