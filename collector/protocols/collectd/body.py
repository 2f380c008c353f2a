"""Bodies of collectd's write_http, which its daemon does not always make as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from collector.protocols.shared.dialect import Rejection, check_count
from cube import json_text
from cube.errors import InvalidRequest

_START: Final = re.compile(rb'(?<=[\[,])(?=\{"values":\[)')
"""Where a value list begins: in a text the quotes would be escaped."""

_META: Final = b',"meta":'
"""The last member of a value list, and not ours. collectd 5.12 writes it as ``"meta":}`` where it is empty,
and neither ``nan`` nor ``inf`` nor quotes in names as JSON has them."""


def items_of(body: bytes) -> tuple[Sequence[Any], Sequence[Rejection]]:
    """Read a body: its items, and what of it cannot be read. Raises `InvalidRequest` where that is all."""
    try:
        value = json_text.decode_leniently(body)
    except InvalidRequest as error:
        return _apart(body, error)
    return value if isinstance(value, list) else [value], ()


def _apart(body: bytes, error: InvalidRequest) -> tuple[Sequence[Any], Sequence[Rejection]]:
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
