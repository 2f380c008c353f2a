"""OTLP/HTTP: ``POST /v1/logs``, ``/v1/traces`` and ``/v1/metrics``, answered in the encoding of the request.

Source: the OpenTelemetry Protocol specification (OTLP/HTTP) and opentelemetry-proto 1.x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

from collector.protocols.otlp.encoding import (
    LOGS,
    METRICS,
    SIGNALS,
    TRACES,
    Drafter,
    Encoding,
    RecordGroup,
    Signal,
    Wrong,
)
from collector.protocols.otlp.json_form import JsonForm
from collector.protocols.otlp.log import LogDrafter
from collector.protocols.otlp.metric import PointDrafter
from collector.protocols.otlp.record import Attributes, InstrumentationScope
from collector.protocols.otlp.span import SpanDrafter
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

MakeDrafter: TypeAlias = Callable[[Attributes, InstrumentationScope], Drafter]

_PROTOBUF = "application/x-protobuf"
_ENVIRONMENTS = ("deployment.environment.name", "deployment.environment")  # now, and before 1.27


def dialect(*, hashed_ids: bool = True, environments: bool = True) -> Dialect:
    """Return the dialect.

    ``hashed_ids``: a record's id is the hash of all of it, and of how many equal ones stand before it in
    the request, unless it has its own id, or no time. Then a resend stores nothing twice.
    ``environments``: a resource's environment is a claim, else it is data alone.
    """
    summary = "Store the {} of an OTLP request."
    endpoints = (
        Endpoint(
            (LOGS.path,), {"POST": partial(translate, hashed_ids=hashed_ids)}, summary.format(LOGS.noun)
        ),
        Endpoint((TRACES.path,), {"POST": translate_spans}, summary.format(TRACES.noun)),
        Endpoint((METRICS.path,), {"POST": translate_metrics}, summary.format(METRICS.noun)),
    )
    return Dialect("otlp", endpoints, credentials=credentials if environments else None, refuse=refuse)


def translate(request: Request, _: RequestContext, *, hashed_ids: bool = True) -> Translation:
    """Read the log records of a request; each that cannot be read is a rejection."""
    encoding = _encoding(request, LOGS)
    occurrences = Occurrences() if hashed_ids else None
    return _translation(
        request, encoding, lambda resource, scope: LogDrafter(encoding, resource, scope, occurrences)
    )


def translate_spans(request: Request, _: RequestContext) -> Translation:
    """Read the spans of a request."""
    encoding = _encoding(request, TRACES)
    return _translation(request, encoding, lambda resource, scope: SpanDrafter(encoding, resource, scope))


def translate_metrics(request: Request, context: RequestContext) -> Translation:
    """Read the data points of a request's metrics; one that cannot be read costs no other."""
    encoding = _encoding(request, METRICS)
    state = context.state
    return _translation(
        request, encoding, lambda resource, scope: PointDrafter(encoding, resource, scope, state)
    )


def credentials(request: Request) -> Credentials:
    """Find the environments that the resources name; what cannot be read is told by `translate`."""
    try:
        encoding = _encoding(request, _signal(request))
        named = {_environment(encoding, resource) for resource in _resources(encoding.groups(request.body))}
    except TooLarge:
        raise
    except InvalidRequest:
        return Credentials()
    return Credentials(environments=frozenset(named - {""}))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error as a ``google.rpc.Status``; 503 (never 500) is what makes a client try again."""
    reply = error_reply(error, request.id)
    form: Callable[[Signal], Encoding] = _protobuf() if media_type(request) == _PROTOBUF else JsonForm
    encoding = form(_signal(request))
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


def _environment(encoding: Encoding, resource: Any) -> str:
    try:
        attributes = encoding.resource(resource)
    except InvalidRequest:
        return ""  # its records are refused, one by one, when they are translated
    name = next((attributes[key] for key in _ENVIRONMENTS if key in attributes), None)
    return name if isinstance(name, str) else ""


def _signal(request: Request) -> Signal:
    return next((signal for signal in SIGNALS if signal.path in request.path), LOGS)


def _encoding(request: Request, signal: Signal) -> Encoding:
    media = media_type(request)
    if media == JsonForm.content_type:
        return JsonForm(signal)
    if media == _PROTOBUF:
        return _protobuf()(signal)
    raise UnsupportedMediaType(
        f"Got the content type {described(media)}; accepted are {_PROTOBUF} and {JsonForm.content_type}."
    )


@cache
def _protobuf() -> Callable[[Signal], Encoding]:
    from collector.protocols.otlp.protobuf import Protobuf  # 5 MiB, and 30 ms: only for those who use it

    return Protobuf


def _translation(request: Request, encoding: Encoding, drafter: MakeDrafter) -> Translation:
    """Read all groups; ``drafter``: makes what makes the drafts of a group, of its resource and scope."""
    reply = partial(_answer, encoding)
    drafts: list[Draft] = []
    rejections: list[Rejection] = []
    for group in encoding.groups(request.body):
        check_count(len(drafts) + len(rejections) + len(group.records))
        made = _drafter(encoding, group, drafter)
        records = [(encoded, part) for encoded in group.records for part in made.parts(encoded)]
        check_count(len(drafts) + len(rejections) + len(records))
        part = translate_each(
            records,
            lambda record, made=made: made.draft(record[1]),  # type: ignore[misc]
            reply,
            payload=lambda record: encoding.shown(record[0]),
        )
        drafts += part.drafts
        rejections += part.rejections
    return Translation(drafts, reply, rejections)


def _drafter(encoding: Encoding, group: RecordGroup, drafter: MakeDrafter) -> Drafter:
    """Return what makes the drafts of a group, or tells of each what is wrong with the group."""
    if group.wrong:
        return Wrong(group.wrong)
    try:
        return drafter(encoding.resource(group.resource), encoding.scope(group.scope))
    except InvalidRequest as error:
        return Wrong(error.message)


def _answer(encoding: Encoding, rejections: Sequence[Rejection]) -> Reply:
    message = rejections[0].reason if rejections else ""
    return Reply(encoding.response(len(rejections), message), content_type=encoding.content_type)
