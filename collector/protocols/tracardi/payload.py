"""What Tracardi's trackers send, parsed: the payload of ``/track`` and its events.

Source: ``TrackerPayload`` and ``EventPayload`` of Tracardi (commit 03c5663), and its documentation from
0.9.0 on, which has more fields than the code: those are kept as they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cube.errors import InvalidRequest, described
from cube.model import instant
from cube.model.event import MAX_ID_LENGTH

Location: TypeAlias = "tuple[str | int, ...]"

_TIMES = ("insert", "create", "update")
_OBJECTS = ("device", "context", "properties", "request", "options", "metadata")
_STATUSES = ("validation", "reshaping", "merging", "error")


class InvalidPayload(InvalidRequest):
    """Something in a payload is of the wrong form; ``location``: where, as the path of names and places."""

    def __init__(self, message: str, location: Location, *, missing: bool = False) -> None:
        super().__init__(message, field=".".join(map(str, location)))
        self.problem = {
            "type": "missing" if missing else "value_error",
            "loc": ["body", *location],
            "msg": message,
        }


@dataclass(frozen=True, slots=True)
class TrackedEvent:
    """One event. ``times``: those given of insert, create and update, in milliseconds since 1970."""

    type: str
    id: str | None = None
    times: Mapping[str, int] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[Any] = ()
    statuses: Mapping[str, Any] = field(default_factory=dict)
    raw: Any = None

    @classmethod
    def parse(cls, raw: Any, place: int) -> TrackedEvent:
        """Read one event; raises `InvalidPayload`."""
        where: Location = ("events", place)
        if not isinstance(raw, Mapping):
            raise InvalidPayload(f"Got {described(raw)} as an event; accepted is an object.", where)
        options = _object(raw, "options", where)
        return cls(
            _text(raw, "type", where),
            None if raw.get("id") is None else _id(raw, where),
            _times(_object(raw, "time", where), (*where, "time")),
            _object(raw, "properties", where),
            _object(raw, "context", where),
            options,
            _tags(raw, options, where),
            {name: raw[name] for name in _STATUSES if isinstance(raw.get(name), Mapping)},
            raw,
        )


@dataclass(frozen=True, slots=True)
class TrackPayload:
    """One payload. ``session``, ``profile``: with their ``id`` as text, and all else that they came with.

    ``wrong``: the events that cannot be read, each with what is wrong with it.
    """

    source: Mapping[str, Any]
    session: Mapping[str, Any] | None = None
    profile: Mapping[str, Any] | None = None
    device: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[TrackedEvent] = ()
    wrong: Sequence[tuple[InvalidPayload, Any]] = ()
    profile_less: bool = False

    @classmethod
    def parse(cls, raw: Any) -> TrackPayload:
        """Read a decoded body; raises `InvalidPayload` where it is wrong as a whole, beyond single events."""
        if not isinstance(raw, Mapping):
            raise InvalidPayload(f"Got {described(raw)} as a payload; accepted is an object.", ())
        source = _entity(raw, "source")
        if source is None:
            raise InvalidPayload("Got no source; accepted is {id: text}.", ("source",), missing=True)
        events, wrong = _events(raw)
        return cls(
            source,
            _entity(raw, "session"),
            _entity(raw, "profile"),
            **{name: _object(raw, name) for name in _OBJECTS},
            events=events,
            wrong=wrong,
            profile_less=raw.get("profile_less") is True,
        )

    @property
    def times(self) -> Mapping[str, int]:
        """Insert, create and update of the payload itself, as far as they can be read."""
        times: Any = self.metadata.get("time")
        found: dict[str, int] = {}
        for name in _TIMES if isinstance(times, Mapping) else ():
            with suppress(InvalidRequest):  # it stands in the payload's metadata all the same
                found |= _times({name: times.get(name)}, ())
        return found

    def wants(self, *options: str) -> bool:
        """Tell whether none of some options, true unless they say false, is false."""
        return all(self.options.get(option) is not False for option in options)


def _events(raw: Mapping[str, Any]) -> tuple[list[TrackedEvent], list[tuple[InvalidPayload, Any]]]:
    items = raw.get("events")
    if items is None:
        return [], []
    if not isinstance(items, list):
        raise InvalidPayload(f"Got the events {described(items)}; accepted is a list.", ("events",))
    events: list[TrackedEvent] = []
    wrong: list[tuple[InvalidPayload, Any]] = []
    for place, item in enumerate(items):
        try:
            events.append(TrackedEvent.parse(item, place))
        except InvalidPayload as error:
            wrong.append((error, item))
    return events, wrong


def _entity(raw: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Read what is known by an ``id``: the source, the session, the profile."""
    if raw.get(name) is None:
        return None
    entity = _object(raw, name)
    return {**entity, "id": _id(entity, (name,))}


def _object(raw: Mapping[str, Any], name: str, where: Location = ()) -> Mapping[str, Any]:
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidPayload(f"Got the {name} {described(value)}; accepted is an object.", (*where, name))
    return value


def _text(raw: Mapping[str, Any], name: str, where: Location) -> str:
    value = raw.get(name)
    if value is None:
        raise InvalidPayload(f"Got no {name}; accepted is text.", (*where, name), missing=True)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidPayload(f"Got the {name} {described(value)}; accepted is text.", (*where, name))
    return value.strip()


def _id(raw: Mapping[str, Any], where: Location) -> str:
    id = _text(raw, "id", where)
    if len(id) > MAX_ID_LENGTH:
        raise InvalidPayload(
            f"Got an id of {len(id)} characters; accepted are {MAX_ID_LENGTH}.", (*where, "id")
        )
    return id


def _times(raw: Mapping[str, Any], where: Location) -> dict[str, int]:
    times: dict[str, int] = {}
    for name in _TIMES:
        value = raw.get(name)
        if value is None:
            continue
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            message = f"Got {described(value)} as a time; accepted is {instant.ACCEPTED}."
            raise InvalidPayload(message, (*where, name))
        try:
            times[name] = instant.parse_any_unit(value)
        except InvalidRequest as error:
            raise InvalidPayload(error.message, (*where, name)) from None
    return times


def _tags(raw: Mapping[str, Any], options: Mapping[str, Any], where: Location) -> list[Any]:
    """Return the tags; the JavaScript tracker puts them in the event's options."""
    tags = raw.get("tags")
    if tags is None:
        tags = options.get("tags")
        return tags if isinstance(tags, list) else []
    if not isinstance(tags, list):
        raise InvalidPayload(f"Got the tags {described(tags)}; accepted is a list.", (*where, "tags"))
    return tags
