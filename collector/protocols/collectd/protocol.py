"""collectd: what its plugin write_http sends as JSON (``Format "JSON"``, ``StoreRates false``).

A body is an array of value lists ``{values, dstypes, dsnames, time, interval, host, plugin,
plugin_instance, type, type_instance}``, or of notifications. collectd never sends a body again,
whatever it is answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from collector.protocols.collectd.body import items_of
from collector.protocols.collectd.series import COUNTED, Reading, difference, rate
from collector.protocols.shared.dialect import (
    Dialect,
    DialectState,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
)
from collector.protocols.shared.values import hashed
from cube.errors import CubeError, InvalidRequest, Unauthenticated, described
from cube.model import instant
from cube.model.event import ABSENT, MAX_ID_LENGTH
from cube.web import Reply, Request, refusal

TYPE: Final = "collectd"
NOTIFICATION: Final = "collectd_notification"

_LARGEST = 2**64
_OLD_UNIT = 2**30  # collectd 5.0 sent times in units of 2^-30 s
_LEAST_OLD = 10**17  # as a number of those December 1972, and of microseconds the year 5138
_TAKEN = frozenset({"host", "plugin", "type"})
_EMPTY = Reply(b"", content_type="text/plain")


def dialect(*, differences: bool = False) -> Dialect:
    """Make the dialect; ``differences``: no rates but, as in Square's Cube, what was added since."""
    translate = {"POST": partial(_translate, differences=differences)}
    summary = "Values and notifications of collectd's plugin write_http."
    endpoints = [
        Endpoint(path, translate, summary, content_type="text/plain") for path in ("/collectd", "/collectd/")
    ]
    return Dialect("collectd", endpoints, refuse=_refuse)


def _refuse(error: CubeError, request: Request) -> Reply:
    """Ask for Basic: only then does collectd send the user name of its configuration."""
    reply = refusal(error, request.id)
    if not isinstance(error, Unauthenticated):
        return reply
    return Reply(reply.body, reply.status, reply.content_type, (("WWW-Authenticate", 'Basic realm="Cube"'),))


def _translate(request: Request, context: RequestContext, *, differences: bool) -> Translation:
    items, unread = items_of(request.body)
    drafts: list[Draft] = []
    rejections = list(unread)
    for item in items:
        try:
            drafts += _drafts(item, context, differences)
        except InvalidRequest as error:
            rejections.append(Rejection(error.message, item))
    return Translation(drafts, lambda _: _EMPTY, rejections)


def _drafts(item: Any, context: RequestContext, differences: bool) -> Sequence[Draft]:
    if not isinstance(item, Mapping):
        raise InvalidRequest("Got an item that is not an object; accepted are value lists and notifications.")
    if "labels" in item:
        return (_notification(item),)
    values = ValueList.parse(item)
    stored = _stored(values, context.state, differences)
    return () if not stored else (_draft(values, stored, item),)


@dataclass(frozen=True, slots=True)
class ValueList:
    """What one read of one plugin gave; ``time`` in milliseconds, ``path`` names its series."""

    time: int
    host: str
    plugin: str
    plugin_instance: str
    type: str
    type_instance: str
    values: tuple[float | None, ...]
    kinds: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> ValueList:
        """Read one item of a body. Raises `InvalidRequest`."""
        values, kinds, names = (_list(item, name) for name in ("values", "dstypes", "dsnames"))
        if not len(values) == len(kinds) == len(names) > 0:
            raise InvalidRequest(
                f"Got {len(values)} values, {len(kinds)} dstypes and {len(names)} dsnames; accepted is as"
                " many of each, at least one."
            )
        if not all(value is None or _is_number(value) for value in values):
            raise InvalidRequest(
                "Got a value that is not a number; accepted are numbers up to 2^64, and null."
            )
        return cls(
            _time(item.get("time")),
            _text(item, "host"),
            _text(item, "plugin"),
            _text(item, "plugin_instance", ""),
            _text(item, "type"),
            _text(item, "type_instance", ""),
            tuple(values),
            tuple(map(str, kinds)),
            tuple(map(str, names)),
        )

    @property
    def path(self) -> str:
        """The series, as collectd writes it: ``host/plugin-instance/type-instance``."""
        plugin = f"{self.plugin}-{self.plugin_instance}" if self.plugin_instance else self.plugin
        type = f"{self.type}-{self.type_instance}" if self.type_instance else self.type
        return f"{self.host}/{plugin}/{type}"


def _stored(item: ValueList, state: DialectState, differences: bool) -> dict[str, Any]:
    """Return what is stored of the values, by their names; the series moves on to this reading.

    One that was seen before shows the same again. One that is older than the last, or another of its
    time, shows gauges, but nothing where they stand beside counts: it may be stored already, with rates.
    """
    last: Reading | None = state.get("series", item.path)
    is_late = last is not None and item.time <= last.time
    if last is not None and last.time == item.time and last.values == item.values:
        kept = last.shown
    elif is_late and not COUNTED.isdisjoint(item.kinds):
        return {}
    else:
        counted = difference if differences else rate
        kept = tuple(_value(counted, last, item, place) for place in range(len(item.values)))
    if not is_late:
        state.put("series", item.path, Reading(item.time, item.values, kept))
    pairs = zip(item.names, kept, strict=True)
    return {name: value for name, value in pairs if value is not None}


def _value(
    counted: Callable[[str, Reading | None, int, int, float], float | None],
    last: Reading | None,
    item: ValueList,
    place: int,
) -> float | None:
    value = item.values[place]
    if value is None:
        return None
    found = counted(item.kinds[place], last, place, item.time, value)
    is_too_long = isinstance(found, int) and not -(2**63) <= found < 2**63
    return float(found) if is_too_long and found is not None else found


def _draft(item: ValueList, stored: Mapping[str, Any], source: Any) -> Draft:
    value: Any = stored[item.names[0]] if len(item.values) == 1 else stored
    if item.type != item.plugin:
        value = {item.type: value}
    data = {"host": item.host, f"{item.plugin}_2" if item.plugin in _TAKEN else item.plugin: value}
    if item.plugin_instance:
        data["plugin"] = item.plugin_instance
    if item.type_instance:
        data["type"] = item.type_instance
    id = f"{item.path}/{item.time}"
    seconds = (item.time + 500) // 1000  # as in Square's Cube
    return Draft(
        TYPE,
        time=seconds * 1000,
        id=id if len(id) <= MAX_ID_LENGTH else hashed(id),
        data=data,
        source=source,
        fixed=True,
    )


def _notification(item: Mapping[str, Any]) -> Draft:
    labels, annotations = item["labels"], item.get("annotations", {})
    if not isinstance(labels, Mapping) or not isinstance(annotations, Mapping):
        raise InvalidRequest("Got labels or annotations that are not objects; accepted are objects.")
    data = {
        "host": labels.get("instance"),
        "name": labels.get("alertname"),
        "severity": labels.get("severity"),
        "summary": annotations.get("summary"),
        "labels": labels,
        "annotations": annotations,
        "ends": item.get("endsAt"),
    }
    time = instant.parse_any_unit(item["startsAt"]) if "startsAt" in item else ABSENT
    return Draft(
        NOTIFICATION,
        time,
        ABSENT if time is ABSENT else hashed(item),
        data={name: value for name, value in data.items() if value is not None},
        source=item,
        fixed=True,
    )


def _time(value: Any) -> int:
    if _is_number(value):
        try:
            return instant.parse_any_unit(value / _OLD_UNIT if abs(value) >= _LEAST_OLD else value)
        except InvalidRequest:
            pass
    raise InvalidRequest(
        f"Got the time {described(value)}; accepted are seconds since 1970, in the years 1 to 9999."
    )


def _list(item: Mapping[str, Any], name: str) -> list[Any]:
    value = item.get(name)
    if not isinstance(value, list):
        raise InvalidRequest(f"Got no list of {name}; accepted are values, dstypes and dsnames.")
    return value


def _text(item: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = item.get(name, default)
    if not isinstance(value, str) or (not value and default is None):
        raise InvalidRequest(f"Got the {name} {described(value)}; accepted is text.")
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
