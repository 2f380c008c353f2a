"""Requests as trackers send them, and what the Snowplow dialect makes of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from collector.protocols.shared.dialect import Draft, Rejection, Translation
from collector.protocols.snowplow.protocol import dialect
from cube.model.event import Event
from cube.web import Request
from tests.dialect_request import NOW, context
from tests.dialect_request import request as dialect_request

NEW_USER = "11111111-2222-4333-8444-555555555555"
DIALECT = dialect(["/com.acme/track"], make_id=lambda: NEW_USER)
PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
UNSTRUCT = "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0"
CONTEXTS = "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1"


def request(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Request:
    return dialect_request(body, headers, target, method)


def translated(made: Request) -> Translation:
    path = {path: endpoint for endpoint in DIALECT.endpoints for path in endpoint.paths}[made.path]
    return path.translate[made.method](made, context())


def posted(
    *events: Any,
    target: str = "/com.snowplowanalytics.snowplow/tp2",
    headers: Mapping[str, str] | None = None,
) -> Translation:
    body = json.dumps({"schema": PAYLOAD, "data": list(events)}).encode()
    return translated(request("POST", target, body, headers))


def shown(parameters: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Translation:
    return translated(request("GET", f"/i?{urlencode(parameters)}", headers=headers))


def draft_of(translation: Translation) -> Draft:
    """The one event of a translation, which is one that can be stored."""
    assert not translation.rejections
    (draft,) = translation.drafts
    raw = {"type": "t", "time": draft.time, "id": draft.id, "data": draft.data}
    Event.parse(raw, now=NOW, unit_known=True)
    return draft


def rejection_of(translation: Translation) -> Rejection:
    """The one rejection of a translation that has nothing else."""
    assert not translation.drafts
    (rejection,) = translation.rejections
    return rejection


def mapped(**parameters: Any) -> Any:
    """The data that one posted event becomes."""
    return draft_of(posted(parameters)).data


def packed(value: Any, *, padded: bool = True) -> str:
    text = base64.urlsafe_b64encode(json.dumps(value, ensure_ascii=False).encode()).decode()
    return text if padded else text.rstrip("=")


def unstruct(schema: str, data: Any) -> dict[str, Any]:
    return {"schema": UNSTRUCT, "data": {"schema": schema, "data": data}}
