"""Elasticsearch's way in, ``_bulk`` and single documents, as log shippers and loggers use it.

Source: Elasticsearch's reference of the bulk and index API, and what the clients that are named in
``docs/dialects/elasticsearch.md`` make of its answers. A document is stored as an event; nothing is deleted,
updated or searched here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final

from collector.protocols.elasticsearch.actions import STORED, Action, read, text_of
from collector.protocols.shared.dialect import (
    MAX_ITEMS,
    Dialect,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import Occurrences, hashed
from cube.errors import CubeError, InvalidRequest, Overloaded, Unavailable
from cube.json_text import decode_leniently
from cube.model.environment import Credentials
from cube.web import Reply, Request, error_reply

PREFIX: Final = "/elastic"
"""All paths are there with it, too: the root without it is the collector's page, but for known clients."""

_CLIENT: Final = re.compile(r"[a-z-]*elastic|opensearch|logstash|vector/", re.IGNORECASE)

_PRODUCT: Final = (("X-Elastic-Product", "Elasticsearch"),)
_ROOT: Final = {
    "name": "cube",
    "cluster_name": "cube",
    "version": {"number": "9.0.0", "build_flavor": "default"},
    "tagline": "You Know, for Search",
}
_HEALTH: Final = {"cluster_name": "cube", "status": "green", "timed_out": False}
_REFRESHED: Final = {"_shards": {"total": 1, "successful": 1, "failed": 0}}


def is_client(request: Request) -> bool:
    """Tell what asks the root for the product (clients of Elastic and OpenSearch, shippers) from others."""
    return _CLIENT.match(request.headers.get("User-Agent", "")) is not None


def bulk(request: Request, _: RequestContext) -> Translation:
    """Read ``_bulk``: a line with an action, a line with its document, and so on."""
    return _translation(list(islice(read(request), MAX_ITEMS + 1)), _items)


def single(request: Request, _: RequestContext, *, operation: str) -> Translation:
    """Read one document, whose index and id stand in the path."""
    index, id = request.captures["index"], request.captures.get("id")
    try:
        document = decode_leniently(request.body)
    except InvalidRequest as error:
        return _translation([Action(operation, index, id, None, error.message, text_of(request.body))], _one)
    return _translation([Action(operation, index, id, document, source=document)], _one)


def told(_: Request, __: RequestContext, *, answer: Mapping[str, Any]) -> Translation:
    """Answer what clients ask before they send."""
    return Translation((), lambda _: _json(answer))


def credentials(request: Request) -> Credentials:
    """Find an API key: base64 of ``id:key``, or a key as it is (Basic and Bearer are found by all)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "apikey" or not given.strip():
        return Credentials()
    key = given.strip()
    with suppress(ValueError):
        _, colon, secret = base64.b64decode(key, validate=True).decode().partition(":")
        key = secret if colon and secret else key
    return Credentials(keys=frozenset((key,)))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in Elasticsearch's form; that nothing can be stored now, item by item.

    A whole request of status 429 is sent again by no library, and one of 503 at once; an item of 429 is, by
    most, after a pause. Who names itself nothing (rsyslog) sends again only what is not answered in JSON.
    """
    reply = error_reply(error, request.id)
    is_later = isinstance(error, Overloaded | Unavailable)
    if is_later and "User-Agent" not in request.headers:
        return Reply(error.message.encode(), 503, "text/plain; charset=utf-8", _PRODUCT)
    if is_later and request.path.endswith("_bulk") and request.body:
        actions = list(islice(read(request, reads_documents=False), MAX_ITEMS + 1))
        if len(actions) <= MAX_ITEMS:
            kind = "es_rejected_execution_exception"
            return _bulk_reply([_item(each, 429, kind, error.message) for each in actions])
    kind = "security_exception" if reply.status in (401, 403) else "illegal_argument_exception"
    return _json({"error": {"type": kind, "reason": error.message}, "status": reply.status}, reply.status)


def dialect() -> Dialect:
    """Return the dialect."""
    write, one = {"POST": bulk, "PUT": bulk}, partial(single, operation="index")
    refresh = dict.fromkeys(("GET", "POST"), partial(told, answer=_REFRESHED))
    table: Sequence[tuple[str, Mapping[str, Callable[..., Translation]], str]] = (
        ("/_bulk", write, "Store documents as events."),
        ("/{index}/_bulk", write, "Store documents as events of an index's type."),
        ("/{index}/_doc", {"POST": one}, "Store a document as an event."),
        ("/{index}/_doc/{id}", {"POST": one, "PUT": one}, "Store a document as the event of an id."),
        (
            "/{index}/_create/{id}",
            dict.fromkeys(("POST", "PUT"), partial(single, operation="create")),
            "Store a document as the event of an id.",
        ),
        ("/_cat/health", {"GET": partial(told, answer=_HEALTH)}, "Tell that the collector is there."),
        ("/_cluster/health", {"GET": partial(told, answer=_HEALTH)}, "Tell that the collector is there."),
        ("/_refresh", refresh, "Do nothing: what is stored is there already."),
        ("/{index}/_refresh", refresh, "Do nothing: what is stored is there already."),
        ("/_index_template/{name}", {"GET": partial(told, answer={})}, "Tell that a template is there."),
        # The last, since /elastic/{index}/_bulk would be one of its paths.
        (
            "/{index}/{type}/_bulk",
            write,
            "Store documents as events of an index's type, as before release 7.",
        ),
    )
    version = {"GET": partial(told, answer=_ROOT)}
    root = Endpoint((PREFIX,), version, "Tell a version.", body=None)
    asked = Endpoint(("/",), version, "Tell a version, to Elastic's clients.", body=None, claims=is_client)
    endpoints = [
        Endpoint((path, PREFIX + path), methods, summary, content_type="application/x-ndjson")
        for path, methods, summary in table
    ]
    return Dialect("elasticsearch", (root, asked, *endpoints), credentials, refuse)


def _translation(actions: Sequence[Action], answer: Callable[..., Reply]) -> Translation:
    check_count(len(actions))
    seen = Occurrences()
    return translate_each(
        actions, lambda action: action.draft(seen), partial(answer, actions), payload=lambda one: one.source
    )


def _items(actions: Sequence[Action], rejections: Sequence[Rejection]) -> Reply:
    reasons = {id(rejection.payload): rejection.reason for rejection in rejections}
    items = []
    for action in actions:
        reason = reasons.get(id(action.source))
        if reason is None or action.is_retried:
            items.append(_item(action, 201))
        else:
            kind = "action_request_validation_exception"
            kind = "document_parsing_exception" if action.operation in STORED else kind
            items.append(_item(action, 400, kind, reason))
    return _bulk_reply(items)


def _one(actions: Sequence[Action], rejections: Sequence[Rejection]) -> Reply:
    (action,) = actions
    if rejections:
        error = {"type": "document_parsing_exception", "reason": rejections[0].reason}
        return _json({"error": error, "status": 400}, 400)
    return _json(_item(action, 201)[action.operation], 201)


def _item(action: Action, status: int, kind: str = "", reason: str = "") -> Mapping[str, Any]:
    outcome = {"error": {"type": kind, "reason": reason}} if kind else {"result": "created"}
    id = action.id if action.id is not None else hashed([action.index, str(action.source)])[:20]
    return {action.operation: {"_index": action.index, "_id": id, "status": status, **outcome}}


def _bulk_reply(items: Sequence[Mapping[str, Any]]) -> Reply:
    errors = any("error" in outcome for item in items for outcome in item.values())
    return _json({"took": 1, "errors": errors, "items": items})


def _json(value: Mapping[str, Any], status: int = 200) -> Reply:
    made = Reply.json(value, status)
    return Reply(made.body, status, made.content_type, _PRODUCT)
