"""collectd: what its plugin write_http sends as JSON (``Format "JSON"``, ``StoreRates false``).

A body is an array of value lists ``{values, dstypes, dsnames, time, interval, host, plugin,
plugin_instance, type, type_instance}``, or of notifications. Of counters are stored rates per second, or
Square's Cube's differences. collectd never sends a body again, whatever it is answered.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

from collector.protocols.shared.dialect import (
    Dialect,
    DialectState,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import doubled, hashed
from cube import json_text
from cube.errors import CubeError, InvalidRequest, Unauthenticated, described
from cube.model import instant
from cube.model.event import ABSENT, MAX_ID_LENGTH
from cube.web import Reply, Request, error_reply

COUNTED: Final = frozenset({"derive", "counter"})
"""The kinds whose values mean something only beside the reading before."""

_LARGEST = 2**64
_OLD_UNIT = 2**30  # collectd 5.0 sent times in units of 2^-30 s
_LEAST_OLD = 10**17  # as a number of those December 1972, and of microseconds the year 5138


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


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The last values of a series, at a time in milliseconds, and what was stored of them."""

    time: int
    values: tuple[float | None, ...]
    stored: tuple[float | None, ...]


Count: TypeAlias = Callable[[str, float, float | None, int], float | None]
"""What is stored of a value: by its kind, the value before it (None: unknown) and the ms between the two."""


def stored_values(item: ValueList, state: DialectState, count: Count) -> dict[str, Any]:
    """Return what is stored of the values, by their names; the series moves on to this reading.

    One that was seen before gives the same again. One that is older than the last, or another of its
    time, gives gauges, but nothing where they stand beside counts: it may be stored already, with rates.
    """
    last: SeriesState | None = state.get("series", item.path)
    is_late = last is not None and item.time <= last.time
    if last is not None and last.time == item.time and last.values == item.values:
        stored = last.stored
    elif is_late and not COUNTED.isdisjoint(item.kinds):
        return {}
    else:
        before = () if last is None else last.values[: len(item.values)]
        before += (None,) * (len(item.values) - len(before))
        elapsed = 1 if last is None else item.time - last.time
        pairs = zip(item.kinds, item.values, before, strict=True)
        stored = tuple(
            None if value is None else doubled(count(kind, value, earlier, elapsed))
            for kind, value, earlier in pairs
        )
    if not is_late:
        state.put("series", item.path, SeriesState(item.time, item.values, stored))
    named = zip(item.names, stored, strict=True)
    return {name: value for name, value in named if value is not None}


def rate(kind: str, value: float, before: float | None, elapsed: int) -> float | None:
    """Return a derive's or counter's rate per second since the last reading; other kinds as they are.

    None: there is no rate, for it is the first reading, an older one, or the first after a reset.
    """
    if kind not in COUNTED:
        return value
    if before is None or elapsed <= 0:
        return None
    delta = _advance(before, value) if kind == "counter" else value - before
    return None if delta is None or delta < 0 else delta * 1000 / elapsed


def difference(kind: str, value: float, before: float | None, elapsed: int) -> float | None:
    """Return, as Square's Cube does, a derive's difference to the last reading, the first time 0."""
    if kind != "derive":
        return value
    if elapsed <= 0:
        return None
    return 0 if before is None else value - before


def _advance(before: float, value: float) -> float | None:
    """Return how far a counter went; one that went back has wrapped at 32 or 64 bits, or was reset.

    It counts as wrapped where that is the shorter way: under half of its range.
    """
    if value >= before:
        return value - before
    size = 2**32 if before < 2**32 else 2**64
    wrapped = size - before + value
    return wrapped if wrapped < size / 2 else None


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


TYPE: Final = "collectd"
NOTIFICATION: Final = "collectd_notification"

_START: Final = re.compile(rb'(?<=[\[,])(?=\{"values":\[)')
"""Where a value list begins: in a text the quotes would be escaped."""

_META: Final = b',"meta":'
"""The last member of a value list, and not ours. collectd 5.12 writes it as ``"meta":}`` where it is empty,
and neither ``nan`` nor ``inf`` nor quotes in names as JSON has them."""

_TAKEN = frozenset({"host", "plugin", "type"})
_EMPTY = Reply(b"", content_type="text/plain")


def dialect(*, differences: bool = False) -> Dialect:
    """Make the dialect; ``differences``: no rates but, as in Square's Cube, what was added since."""
    translate = {"POST": partial(_translate, count=difference if differences else rate)}
    summary = "Values and notifications of collectd's plugin write_http."
    endpoint = Endpoint(("/collectd", "/collectd/"), translate, summary, content_type="text/plain")
    return Dialect("collectd", (endpoint,), refuse=_refuse)


def _refuse(error: CubeError, request: Request) -> Reply:
    """Ask for Basic: only then does collectd send the user name of its configuration."""
    reply = error_reply(error, request.id)
    if not isinstance(error, Unauthenticated):
        return reply
    return replace(reply, headers=(("WWW-Authenticate", 'Basic realm="Cube"'),))


def _translate(request: Request, context: RequestContext, *, count: Count) -> Translation:
    items, unread = _items(request.body)
    draft = partial(_draft, state=context.state, count=count)
    return translate_each(items, draft, lambda _: _EMPTY, rejections=unread)


def _items(body: bytes) -> tuple[Sequence[Any], Sequence[Rejection]]:
    """Read a body: its items, and what of it cannot be read. Raises `InvalidRequest` where that is all.

    The daemon does not always make it as JSON: then each value list is read on its own.
    """
    try:
        value = json_text.decode_leniently(body)
        return value if isinstance(value, list) else [value], ()
    except InvalidRequest as error:
        head, *texts = _START.split(body)
        check_count(len(texts))
        items: list[Any] = []
        rejections: list[Rejection] = []
        for text in texts:
            try:
                items.append(_item(text.rstrip(b",] \r\n")))
            except InvalidRequest as reason:
                rejections.append(Rejection(reason.message, text.decode(errors="replace")))
        if not items or head.strip() != b"[":
            raise error
        return items, rejections


def _item(text: bytes) -> Any:
    before, is_there, _ = text.partition(_META)
    try:
        return json_text.decode_leniently(text)
    except InvalidRequest:
        if not is_there:
            raise
        return json_text.decode_leniently(before + b"}")


def _draft(source: Any, state: DialectState, count: Count) -> Draft | None:
    if not isinstance(source, Mapping):
        raise InvalidRequest("Got an item that is not an object; accepted are value lists and notifications.")
    if "labels" in source:
        return _notification(source)
    item = ValueList.parse(source)
    stored = stored_values(item, state, count)
    if not stored:
        return None
    value: Any = stored[item.names[0]] if len(item.values) == 1 else stored
    if item.type != item.plugin:
        value = {item.type: value}
    data = {"host": item.host, f"{item.plugin}_2" if item.plugin in _TAKEN else item.plugin: value}
    data |= {"plugin": item.plugin_instance} if item.plugin_instance else {}
    data |= {"type": item.type_instance} if item.type_instance else {}
    id = f"{item.path}/{item.time}"
    seconds = (item.time + 500) // 1000  # as in Square's Cube
    id = id if len(id) <= MAX_ID_LENGTH else hashed(id)
    return Draft(TYPE, seconds * 1000, id, data, source, fixed=True)


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
    id = ABSENT if time is ABSENT else hashed(item)
    data = {name: value for name, value in data.items() if value is not None}
    return Draft(NOTIFICATION, time, id, data, item, fixed=True)
