"""One event of a tracker becomes the draft of one of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from collector.protocols.shared.dialect import Draft
from collector.protocols.shared.values import hashed
from collector.protocols.snowplow.parameters import PARAMETERS, read_text, read_time
from collector.protocols.snowplow.payload import SelfDescribing, read_contexts, read_event
from cube.errors import InvalidEvent, described
from cube.model.event import ABSENT

KINDS: Final = {
    "pv": "page_view",
    "pp": "page_ping",
    "se": "struct_event",
    "ev": "struct_event",  # as trackers before 2013 sent it
    "tr": "transaction",
    "ti": "transaction_item",
    "ad": "ad_impression",
}
"""The kinds of events that have a name of their own; an event of the kind ``ue`` brings its name."""

TIMES: Final = ("ttm", "dtm")
"""What says when an event happened, in the order of preference."""

_READ_HERE = frozenset({"e", "eid", "ttm", "ue_pr", "ue_px", "co", "cx", "nuid", "tnuid", "ip", "ua"})
_NO_PING = {"min_x": 0, "max_x": 0, "min_y": 0, "max_y": 0}


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request says of all its events.

    ``network_user``: who its cookie says it is; ``address``, ``user_agent``: those of the request,
    None where it asked to stay anonymous. ``unstored``: parameters that are left out, keys among them.
    ``struct_types``: a structured event is named by its category and action.
    """

    now: int
    network_user: str
    anonymous: bool = False
    address: str | None = None
    user_agent: str | None = None
    unstored: frozenset[str] = frozenset()
    struct_types: bool = False


def draft(sent: Mapping[str, Any], visit: Visit) -> Draft:
    """Make a draft of an event's parameters. Raises `InvalidEvent` where they do not make one."""
    kept = {name: value for name, value in sent.items() if name not in visit.unstored}
    inner = _inner(kept)
    data: dict[str, Any] = {"name": KINDS[kept["e"]] if inner is None else inner.name}
    _add_parameters(data, kept)
    if kept["e"] == "pp":  # browsers leave out what is 0
        data["ping"] = {**_NO_PING, **data.get("ping", {})}
    _add_page_parts(data)
    _add_people(data, kept, visit)
    if inner is not None:
        data |= {} if inner.schema is None else {"schema": inner.schema}
        data |= {} if inner.data is ABSENT else {"event": inner.data}
    contexts = read_contexts(kept)
    if contexts:
        data["contexts"] = contexts
    data["received"] = visit.now
    struct = data.get("struct", {}) if visit.struct_types and data["name"] == KINDS["se"] else {}
    own = "_".join(struct[part] for part in ("category", "action") if part in struct)
    data["name"] = own or data["name"]
    time = _time(kept)
    return Draft(data["name"], time, _id(kept, time), data, kept, fixed=inner is None and not own)


def _inner(sent: Mapping[str, Any]) -> SelfDescribing | None:
    kind = sent.get("e")
    if kind == "ue":
        return read_event(sent)
    if not isinstance(kind, str) or kind not in KINDS:
        got = "no kind of event (e)" if kind is None else f"the kind of event (e) {described(kind)}"
        raise InvalidEvent(f"Got {got}; accepted are ue, {', '.join(KINDS)}.", field="e")
    return None


def _add_parameters(data: dict[str, Any], sent: Mapping[str, Any]) -> None:
    # The device's time, where there is no true one, is the event's own.
    read_elsewhere = _READ_HERE if is_given(sent, "ttm") else _READ_HERE | {"dtm"}
    extra: dict[str, Any] = {}
    for name, value in sent.items():
        if value is None or value == "" or name in read_elsewhere:
            continue
        parameter = PARAMETERS.get(name)
        if parameter is None:
            extra[name] = value
            continue
        try:
            _put(data, parameter.path, parameter.read(value))
        except ValueError:
            if parameter.essential:
                message = f"Got the {name} {described(value)}; accepted is {parameter.kind}."
                raise InvalidEvent(message, field=name) from None
            extra[name] = value
    if extra:
        data["extra"] = extra


def _put(data: dict[str, Any], path: Iterable[str], value: Any) -> None:
    *groups, last = path
    for group in groups:
        data = data.setdefault(group, {})
    data[last] = value


def _add_page_parts(data: dict[str, Any]) -> None:
    """Add the page's host and path, by which pages are grouped: URLs differ by their queries."""
    url = data.get("page", {}).get("url")
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return
    data["page"] |= {key: text for key, text in (("host", host), ("path", parts.path)) if text}


def _add_people(data: dict[str, Any], sent: Mapping[str, Any], visit: Visit) -> None:
    """Add who and where; what the event says goes before what the request says."""
    named_by_event = _first(sent, "tnuid") if visit.anonymous else _first(sent, "tnuid", "nuid")
    _put(data, ("user", "network"), named_by_event or visit.network_user)
    if visit.anonymous:
        return
    people = {
        "ip": _first(sent, "ip") or visit.address,
        "user_agent": _first(sent, "ua") or visit.user_agent,
    }
    data |= {key: value for key, value in people.items() if value}


def _first(sent: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = sent.get(name)
        if value is not None and value != "":
            try:
                return read_text(value)
            except ValueError:
                raise InvalidEvent(
                    f"Got the {name} {described(value)}; accepted is text.", field=name
                ) from None
    return None


def _time(sent: Mapping[str, Any]) -> Any:
    """Return the true time, else the device's; neither changes when an event is sent again."""
    name = next((name for name in TIMES if is_given(sent, name)), None)
    if name is None:
        return ABSENT
    try:
        return read_time(sent[name])
    except ValueError:
        raise InvalidEvent(
            f"Got the {name} {described(sent[name])}; accepted are milliseconds since 1970, up to the"
            " year 9999.",
            field=name,
        ) from None


def is_given(sent: Mapping[str, Any], name: str) -> bool:
    """Tell whether an event has a parameter; one that is empty counts for nothing."""
    return sent.get(name) not in (None, "")


def _id(sent: Mapping[str, Any], time: Any) -> Any:
    """Return the event's id; one that has none gets it from its content.

    One with neither id nor time is the same whenever it is sent, as a pixel in a mail is: each is one more
    event.
    """
    given = _first(sent, "eid")
    if given is not None:
        return given.lower()
    if time is ABSENT:
        return ABSENT
    return hashed({name: value for name, value in sent.items() if name != "stm"})
