"""Mixpanel's ingestion API: ``/track``, ``/import``, ``/engage`` and ``/groups``.

Source: Mixpanel's ingestion API reference, and what the libraries that are named in
``docs/dialects/mixpanel.md`` put on the wire and make of the answers: a body that says 0 is an exception in
the application, so that an event which is wrong is told where a strict answer is asked for, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translate,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import PIXEL, fields_of, hashed, unpacked
from cube.errors import CubeError, InvalidRequest, described
from cube.json_lines import NotJson, values_of
from cube.json_text import decode_leniently
from cube.model import instant
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.web import FORM, Reply, Request, error_reply, media_type

PREFIX: Final = "/mixpanel"
"""All paths are there with it, too: `/track` is also Tracardi's."""

PROFILE: Final = "mixpanel_profile"
GROUP: Final = "mixpanel_group"

_TOKENS: Final = ("token", "$token")
_INVALID: Final = "some data points in the request failed validation"
_TEXT: Final = "text/plain"
_JSON: Final = (b"{", b"[")

_Make: TypeAlias = Callable[[Any], Draft]
_Answer: TypeAlias = Callable[[Mapping[str, str], Sequence[Any], Sequence[Rejection]], Reply]


def track(request: Request, _: RequestContext) -> Translation:
    """Read events of ``/track``."""
    return _translation(request, event, _status)


def imported(request: Request, context: RequestContext) -> Translation:
    """Read events of ``/import``: a form as that of ``/track``, an array, or lines."""
    if "data" in _fields(request):
        return track(request, context)
    return _translation(request, event, _counted)


def updates(request: Request, _: RequestContext, *, type: str) -> Translation:
    """Read what is set of profiles, or of groups: as it is sent, an event of its own each."""
    return _translation(request, partial(update, type=type), _status)


def event(given: Any) -> Draft:
    """Make the event of one of Mixpanel's. Raises `InvalidRequest`."""
    found = _object(given)
    name, properties = found.get("event"), found.get("properties")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"Got {described(name)} as the event; accepted is text that is not empty.")
    if not isinstance(properties, dict):
        raise InvalidRequest(f"Got {described(properties)} as properties; accepted is an object.")
    time, insert_id = properties.get("time"), properties.get("$insert_id")
    shown = {key: value for key, value in properties.items() if key not in (*_TOKENS, "time", "$insert_id")}
    same = [name, properties.get("distinct_id"), insert_id]
    return Draft(
        name.lstrip("$") or name,  # `$identify` and its like are Mixpanel's own
        time=ABSENT if time is None else instant.parse_any_unit(time),
        id=ABSENT if insert_id is None or insert_id == "" else hashed(same),
        data={"event": name, "properties": shown},
        source=given,
    )


def update(given: Any, type: str) -> Draft:
    """Make the event of what is set of a profile or a group. Raises `InvalidRequest`."""
    found = _object(given)
    data = {key: value for key, value in found.items() if key not in (*_TOKENS, "$time")}
    if not data:
        raise InvalidRequest("Got an update of nothing; accepted is one with $distinct_id or $group_id.")
    time = found.get("$time")
    is_left = time is None or time == 0  # 0: that nothing was seen of them
    return Draft(
        type, time=ABSENT if is_left else instant.parse_any_unit(time), data=data, source=given, fixed=True
    )


def credentials(request: Request) -> Credentials:
    """Find the project's token in what is sent, where no key stands outside of it."""
    if "Authorization" in request.headers or "api_key=" in request.query:
        return Credentials()
    try:
        outside = _fields(request).get("api_key")
        items = [] if outside else _items(request)
    except InvalidRequest:
        return Credentials()  # the translation tells what is wrong
    found = (part for item in items if isinstance(item, dict) for part in (item, item.get("properties")))
    tokens = (part.get(name) for part in found if isinstance(part, dict) for name in _TOKENS)
    keys = {outside} if outside else {token for token in tokens if isinstance(token, str) and token}
    return Credentials(keys=frozenset(keys))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in Mixpanel's form."""
    status = error_reply(error, request.id).status
    return Reply.json({"status": 0, "error": error.message}, 401 if status == 403 else status)


def is_ours(request: Request) -> bool:
    """Tell whether a request of ``/track`` is Mixpanel's: it posts forms, Tracardi JSON.

    What a page sends as it is left (`sendBeacon`) is a form that is said to be text, always with ``ip``.
    """
    is_beacon = media_type(request) == _TEXT and any(
        one.startswith("ip=") for one in request.query.split("&")
    )
    return request.method in ("GET", "HEAD") or media_type(request) == FORM or is_beacon


def no_flags(_: Request, __: RequestContext) -> Translation:
    """Answer a page that asks for feature flags: there are none."""
    return Translation((), lambda _: Reply.json({"code": 200, "flags": {}}))


def no_settings(_: Request, __: RequestContext) -> Translation:
    """Answer a page that asks for its settings: there are none but its own."""
    return Translation((), lambda _: Reply.json({}))


def not_recorded(_: Request, __: RequestContext) -> Translation:
    """Take a part of a session's recording, and keep nothing: else a page tells of an error for each."""
    return Translation((), lambda _: Reply.json({"code": 200, "status": "OK"}))


def dialect() -> Dialect:
    """Return the dialect."""
    table: Sequence[tuple[str, Callable[..., Translation], str]] = (
        ("/import", imported, "Store Mixpanel's events."),
        ("/engage", partial(updates, type=PROFILE), "Store what is set of profiles."),
        ("/groups", partial(updates, type=GROUP), "Store what is set of groups."),
    )
    unkept: Sequence[tuple[str, str, Translate, str]] = (
        ("/settings", "GET", no_settings, "Answer that there are no settings."),
        ("/record", "POST", not_recorded, "Keep nothing of a session's replay."),
    )
    endpoints = [
        Endpoint((path, PREFIX + path), {"POST": read, "GET": read}, summary) for path, read, summary in table
    ]
    endpoints += (
        Endpoint((path, PREFIX + path), {method: read}, summary) for path, method, read, summary in unkept
    )
    either = {"POST": track, "GET": track}
    endpoints += (
        Endpoint((f"{PREFIX}/track",), either, "Store Mixpanel's events."),
        Endpoint(("/track",), either, "Store Mixpanel's events.", claims=is_ours),
        Endpoint((f"{PREFIX}/flags",), {"GET": no_flags}, "Answer that there are no feature flags."),
        Endpoint(("/flags",), {"GET": no_flags}, "Answer that there are no feature flags.", claims=_is_read),
    )
    return Dialect(
        "mixpanel",
        endpoints,
        credentials,
        refuse,
        frozenset(_TOKENS),
        keys_in_body=True,
        spooled=200,
        password_is_key=True,
    )


def _is_read(request: Request) -> bool:
    """Tell whether a request of ``/flags`` is Mixpanel's: PostHog posts there."""
    return request.method != "POST"


def _translation(request: Request, make: _Make, reply: _Answer) -> Translation:
    asked = {**request.parameters(), **_fields(request)}
    items = [] if request.method == "HEAD" else _items(request)  # answered like GET, and to change nothing
    check_count(len(items))
    return translate_each(items, make, partial(reply, asked, items), payload=_payload)


def _items(request: Request) -> list[Any]:
    """Return what is sent: the field ``data``, or the body, an object, an array or lines."""
    fields = _fields(request)
    if not fields and request.body.lstrip()[:1] in _JSON:
        return list(values_of(request.body))
    text = fields.get("data", "")
    if text.lstrip()[:1].encode() not in _JSON:
        try:
            value = decode_leniently(unpacked(text))
        except ValueError:
            raise InvalidRequest("Got neither JSON nor base64 of it as data.") from None
    else:
        value = decode_leniently(text)
    return value if isinstance(value, list) else [value]


def _fields(request: Request) -> Mapping[str, str]:
    """Return the parameters of a request: of the query, and of a form where it is one."""
    if request.method in ("GET", "HEAD"):
        return request.parameters()
    is_json = request.body.lstrip()[:1] in _JSON
    return {} if is_json else fields_of(request.body)


def _status(asked: Mapping[str, str], _: Sequence[Any], __: Sequence[Rejection]) -> Reply:
    """Answer 1 alone, or an object where ``verbose`` asks for one, or the pixel."""
    if asked.get("img") == "1":
        return PIXEL
    if asked.get("verbose") == "1":
        return Reply.json({"status": 1, "error": None})
    return Reply(b"1", content_type="text/plain")


def _counted(asked: Mapping[str, str], items: Sequence[Any], rejections: Sequence[Rejection]) -> Reply:
    """Answer how many events are stored, and where ``strict`` asks for it, what is wrong with others."""
    stored = len(items) - len(rejections)
    if not rejections or asked.get("strict") != "1":
        return Reply.json({"code": 200, "num_records_imported": stored, "status": "OK"})
    places = {id(_payload(item)): place for place, item in enumerate(items)}
    failed = [
        {
            "index": places[id(each.payload)],
            "insert_id": _insert_id(each.payload),
            "field": "",
            "message": each.reason,
        }
        for each in rejections
    ]
    told = {"code": 400, "error": _INVALID, "status": "Bad Request"}
    return Reply.json({**told, "num_records_imported": stored, "failed_records": failed}, 400)


def _insert_id(item: Any) -> str:
    match item:
        case {"properties": {"$insert_id": str() as id}}:
            return id
    return ""


def _payload(item: Any) -> Any:
    return item.text if isinstance(item, NotJson) else item


def _object(given: Any) -> Mapping[str, Any]:
    if isinstance(given, NotJson):
        raise InvalidRequest(given.reason)
    if not isinstance(given, dict):
        raise InvalidRequest(f"Got {described(given)}; accepted is an object.")
    return given
