"""collectd: what its plugin write_http sends as JSON (``Format "JSON"``, ``StoreRates false``).

A body is an array of value lists ``{values, dstypes, dsnames, time, interval, host, plugin,
plugin_instance, type, type_instance}``, or of notifications. Of counters are stored rates per second, or
Square's Cube's differences. collectd never sends a body again, whatever it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from collector.protocols.collectd.value_list import Count, ValueList, difference, rate, stored_values
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
from collector.protocols.shared.values import hashed
from cube import json_text
from cube.errors import CubeError, InvalidRequest, Unauthenticated
from cube.model import instant
from cube.model.event import ABSENT, MAX_ID_LENGTH
from cube.web import Reply, Request, error_reply

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
