"""The parameters of the tracker protocol: what each is called in an event's data, and how it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.protocols.shared.values import decimal
from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import MAX_INTEGER, MIN_INTEGER

_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})", re.ASCII)
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class TrackerParameter:
    """Where in the data a parameter stands, and how its value is read.

    ``read`` raises `ValueError` for a value that is not of its kind; ``kind`` names that kind.
    ``essential``: without it the event says nothing, so one that cannot be read refuses the event;
    any other stands as it came under ``extra``.
    """

    path: tuple[str, ...]
    read: Callable[[Any], Any]
    kind: str
    essential: bool = False


def read_text(value: Any) -> str:
    """Read text; a number is taken as it is written."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    raise ValueError


def read_number(value: Any) -> int | float:
    """Read a decimal number; whole ones within 64 bits become integers."""
    return decimal(read_text(value).strip())


def read_whole(value: Any) -> int:
    """Read a whole number within 64 bits."""
    number = read_number(value)
    if isinstance(number, int) or (number.is_integer() and MIN_INTEGER <= number < MAX_INTEGER):
        return int(number)
    raise ValueError


def read_time(value: Any) -> int:
    """Read a time since 1970 as milliseconds; its magnitude tells its unit."""
    number = read_number(value)
    try:
        return instant.parse_any_unit(number)
    except InvalidRequest:
        raise ValueError from None


def read_size(value: Any) -> list[int]:
    """Read ``1024x768`` as [1024, 768]."""
    found = _SIZE.fullmatch(read_text(value))
    if found is None:
        raise ValueError
    return [int(found[1]), int(found[2])]


def read_flag(value: Any) -> bool:
    """Read ``1`` or ``0``."""
    text = str(value).lower() if isinstance(value, bool) else read_text(value)
    if text not in _FLAGS:
        raise ValueError
    return _FLAGS[text]


def _kind(
    read: Callable[[Any], Any], kind: str, *, essential: bool = False
) -> Callable[[str], TrackerParameter]:
    return lambda path: TrackerParameter(tuple(path.split(".")), read, kind, essential)


_text = _kind(read_text, "text")
_whole = _kind(read_whole, "a whole number")
_count = _kind(read_whole, "a whole number", essential=True)
_time = _kind(read_time, "milliseconds since 1970")
_number = _kind(read_number, "a number", essential=True)
_size = _kind(read_size, "a size such as 1024x768")
_flag = _kind(read_flag, "0 or 1")

_PLUGINS = {
    "f_pdf": "pdf",
    "f_fla": "flash",
    "f_java": "java",
    "f_dir": "director",
    "f_qt": "quicktime",
    "f_realp": "real_player",
    "f_wma": "windows_media",
    "f_gears": "gears",
    "f_ag": "silverlight",
}
_STRUCT = {
    "ca": _text("struct.category"),
    "ac": _text("struct.action"),
    "la": _text("struct.label"),
    "pr": _text("struct.property"),
    "va": _number("struct.value"),
}

PARAMETERS: Final[Mapping[str, TrackerParameter]] = {
    "aid": _text("app"),
    "p": _text("platform"),
    "tna": _text("tracker.namespace"),
    "tv": _text("tracker.version"),
    "cv": _text("collector_version"),
    "dtm": _time("created"),
    "stm": _time("sent"),
    "uid": _text("user.id"),
    "duid": _text("user.domain"),
    "fp": _text("user.fingerprint"),
    "sid": _text("session.id"),
    "vid": _whole("session.index"),
    "tid": _text("txn_id"),
    "url": _text("page.url"),
    "refr": _text("page.referrer"),
    "page": _text("page.title"),
    "cs": _text("browser.charset"),
    "ds": _size("browser.document"),
    "vp": _size("browser.viewport"),
    "res": _size("browser.screen"),
    "cd": _whole("browser.color_depth"),
    "lang": _text("browser.lang"),
    "tz": _text("browser.timezone"),
    "cookie": _flag("browser.cookies"),
    **{name: _flag(f"browser.plugins.{plugin}") for name, plugin in _PLUGINS.items()},
    **{f"se_{name}": parameter for name, parameter in _STRUCT.items()},
    **{f"ev_{name}": parameter for name, parameter in _STRUCT.items()},
    "pp_mix": _count("ping.min_x"),
    "pp_max": _count("ping.max_x"),
    "pp_miy": _count("ping.min_y"),
    "pp_may": _count("ping.max_y"),
    "tr_id": _text("transaction.id"),
    "tr_tt": _number("transaction.total"),
    "tr_af": _text("transaction.affiliation"),
    "tr_tx": _number("transaction.tax"),
    "tr_sh": _number("transaction.shipping"),
    "tr_ci": _text("transaction.city"),
    "tr_st": _text("transaction.state"),
    "tr_co": _text("transaction.country"),
    "tr_cu": _text("transaction.currency"),
    "ti_id": _text("item.order"),
    "ti_sk": _text("item.sku"),
    "ti_na": _text("item.name"),  # some trackers' mistake for ti_nm
    "ti_nm": _text("item.name"),
    "ti_ca": _text("item.category"),
    "ti_pr": _number("item.price"),
    "ti_qu": _count("item.quantity"),
    "ti_cu": _text("item.currency"),
    "ad_ba": _text("ad.banner"),
    "ad_ca": _text("ad.campaign"),
    "ad_ad": _text("ad.advertiser"),
    "ad_uid": _text("ad.user"),
}
"""By their names on the wire; those that `collector.protocols.snowplow.mapping` reads itself are not here."""
