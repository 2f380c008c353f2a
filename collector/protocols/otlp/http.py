"""OTLP/HTTP logs: ``POST /v1/logs``, answered in the encoding of the request.

Source: the OpenTelemetry Protocol specification (OTLP/HTTP) and opentelemetry-proto 1.x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, Final

from collector.protocols.otlp.json_form import JsonForm
from collector.protocols.otlp.record import EventEmitter, LogEncoding, RecordGroup
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    UnsupportedMediaType,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import Occurrences
from cube.errors import CubeError, InvalidRequest, TooLarge, described
from cube.model.environment import Credentials
from cube.web import Reply, Request, error_reply, media_type

MAX_RECORD_BYTES: Final = 2**20
"""One record, as it is encoded."""

_PROTOBUF = "application/x-protobuf"
_ENVIRONMENTS = ("deployment.environment.name", "deployment.environment")  # now, and before 1.27


def dialect(*, hashed_ids: bool = True, environments: bool = True) -> Dialect:
    """Return the dialect.

    ``hashed_ids``: a record's id is the hash of all of it, and of how many equal ones stand before it in
    the request, unless it has its own id, or no time. Then a resend stores nothing twice.
    ``environments``: a resource's environment is a claim, else it is data alone.
    """
    endpoint = Endpoint(
        ("/v1/logs",),
        {"POST": partial(translate, hashed_ids=hashed_ids)},
        "Store the log records of an OTLP request.",
    )
    return Dialect("otlp", (endpoint,), credentials=credentials if environments else None, refuse=refuse)


def translate(request: Request, _: RequestContext, *, hashed_ids: bool = True) -> Translation:
    """Read the records of a request; each that cannot be read is a rejection."""
    encoding = _encoding(request)
    occurrences = Occurrences() if hashed_ids else None
    reply = partial(_answer, encoding)
    drafts: list[Draft] = []
    rejections: list[Rejection] = []
    for group in encoding.groups(request.body):
        check_count(len(drafts) + len(rejections) + len(group.records))
        draft = _drafter(encoding, group, occurrences)
        part = translate_each(group.records, draft, reply, payload=encoding.shown)
        drafts += part.drafts
        rejections += part.rejections
    return Translation(drafts, reply, rejections)


def credentials(request: Request) -> Credentials:
    """Find the environments that the resources name; what cannot be read is told by `translate`."""
    try:
        encoding = _encoding(request)
        named = {_environment(encoding, resource) for resource in _resources(encoding.groups(request.body))}
    except TooLarge:
        raise
    except InvalidRequest:
        return Credentials()
    return Credentials(environments=frozenset(named - {""}))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error as a ``google.rpc.Status``; 503 (never 500) is what makes a client try again."""
    reply = error_reply(error, request.id)
    encoding = _protobuf()() if media_type(request) == _PROTOBUF else JsonForm()
    status = 415 if isinstance(error, UnsupportedMediaType) else reply.status
    return Reply(encoding.status(error.message), status, encoding.content_type)


def _resources(groups: Iterable[RecordGroup]) -> Iterator[Any]:
    """Return each encoded resource once, where that is easily told."""
    seen: set[bytes] = set()
    for group in groups:
        if isinstance(group.resource, bytes):
            if group.resource in seen:
                continue
            seen.add(group.resource)
        yield group.resource


def _environment(encoding: LogEncoding, resource: Any) -> str:
    try:
        attributes = encoding.resource(resource)
    except InvalidRequest:
        return ""  # its records are refused, one by one, when they are translated
    name = next((attributes[key] for key in _ENVIRONMENTS if key in attributes), None)
    return name if isinstance(name, str) else ""


def _encoding(request: Request) -> LogEncoding:
    media = media_type(request)
    if media == JsonForm.content_type:
        return JsonForm()
    if media == _PROTOBUF:
        return _protobuf()()
    raise UnsupportedMediaType(
        f"Got the content type {described(media)}; accepted are {_PROTOBUF} and {JsonForm.content_type}."
    )


@cache
def _protobuf() -> Callable[[], LogEncoding]:
    from collector.protocols.otlp.protobuf import Protobuf  # 5 MiB, and 30 ms: only for those who use it

    return Protobuf


def _drafter(
    encoding: LogEncoding, group: RecordGroup, occurrences: Occurrences | None
) -> Callable[[Any], Draft]:
    """Return what makes a draft of a group's records, or tells of each what is wrong with the group."""
    wrong = group.wrong
    try:
        resource, scope = encoding.resource(group.resource), encoding.scope(group.scope)
        emitter = EventEmitter(resource, scope, occurrences)
    except InvalidRequest as error:
        wrong = wrong or error.message

    def draft(record: Any) -> Draft:
        if wrong:
            raise InvalidRequest(wrong)
        size = encoding.size(record)
        if size > MAX_RECORD_BYTES:
            raise InvalidRequest(f"Got a record of {size} bytes; accepted are {MAX_RECORD_BYTES}.")
        return emitter.draft(encoding.record(record))

    return draft


def _answer(encoding: LogEncoding, rejections: Sequence[Rejection]) -> Reply:
    message = rejections[0].reason if rejections else ""
    return Reply(encoding.response(len(rejections), message), content_type=encoding.content_type)
