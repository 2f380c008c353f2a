"""Webhooks: ``/1.0/webhook/{type}`` stores whatever JSON a service posts as one event, and a redelivery once.

Source: the published descriptions of GitHub's, GitLab's, Stripe's, Slack's and Sentry's webhooks, and of
Standard Webhooks. What GitHub's events say of times is of what they are about, not of when they happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    translate_each,
)
from collector.protocols.shared.paths import at
from collector.protocols.shared.values import checked_type, fields_of
from collector.protocols.webhook_alerts import notification_id
from collector.protocols.webhook_signatures import Secrets, read_secrets, verify
from cube.errors import InvalidRequest
from cube.json_text import decode_leniently
from cube.model import instant
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.model.property import is_unicode
from cube.web import Parameter, Reply, Request, error_reply, media_type

HEADERS: Final = "http_headers"
"""The property that the headers which are kept stand in."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A service, known by a header that its deliveries have.

    ``keeps``: the headers that its events keep; ``id``: that with the id of a delivery, and ``id_at``,
    ``times``: where in the body an id and the time stand.
    """

    header: str
    keeps: tuple[str, ...] = ()
    id: str | None = None
    id_at: str | None = None
    times: tuple[str, ...] = ()


SENDERS: Final = (
    Sender(
        "X-GitHub-Event",
        ("X-GitHub-Event", "X-GitHub-Delivery", "X-GitHub-Hook-ID"),
        id="X-GitHub-Delivery",
    ),
    Sender("X-Gitlab-Event", ("X-Gitlab-Event", "X-Gitlab-Instance"), id="Idempotency-Key"),
    Sender("Stripe-Signature", id_at="id", times=("created",)),
    Sender("X-Slack-Signature", id_at="event_id", times=("event.event_ts", "event_time")),
    Sender("Sentry-Hook-Resource", ("Sentry-Hook-Resource", "Request-ID"), id="Request-ID"),
    Sender("Webhook-Id", ("Webhook-Id",), id="Webhook-Id"),
)
"""By the first whose header is there; the last is that of Standard Webhooks, which many services follow."""

_FORM = "application/x-www-form-urlencoded"
_NONE: Secrets = {}
_CHALLENGE = "url_verification"
_PARAMETERS = (
    Parameter("time", "Where the body has the time, such as `event.created_at`."),
    Parameter("id", "Where the body has an id that is the same in each delivery."),
)


def translate(request: Request, context: RequestContext, *, secrets: Secrets = _NONE) -> Translation:
    """Read one delivery: JSON, whatever type of media it is given, or a form with JSON as its ``payload``.

    Raises `Unauthenticated` where its type has a secret, and it is not signed with that.
    """
    type = checked_type(request.captures["type"])
    verify(request, type, secrets, context.now)
    body = _body(request)
    challenge = body.get("challenge") if isinstance(body, dict) and body.get("type") == _CHALLENGE else None
    if isinstance(challenge, str) and is_unicode(challenge):
        return Translation((), lambda _: Reply(challenge.encode(), content_type="text/plain"))
    return translate_each(
        (body,), lambda one: _draft(one, type, request, context.now), partial(_answer, request.id)
    )


def credentials(request: Request) -> Credentials:
    """Find a token in the query: most services let their users write no header."""
    token = request.parameters().get("access_token")
    return Credentials(keys=frozenset((token,))) if token else Credentials()


def dialect(*, secrets: Sequence[str] = ()) -> Dialect:
    """Return the dialect; ``secrets``: ``TYPE=SECRET`` of those whose deliveries are signed.

    Raises `InvalidSettings`.
    """
    summary, read = "Store the body as one event.", partial(translate, secrets=read_secrets(secrets))
    endpoint = Endpoint(("/1.0/webhook/{type}",), {"POST": read}, summary, parameters=_PARAMETERS)
    return Dialect("webhook", (endpoint,), credentials)


def _body(request: Request) -> Any:
    if media_type(request) != _FORM or request.body.lstrip()[:1] in (b"{", b"["):  # curl -d calls all a form
        return decode_leniently(request.body)
    fields = fields_of(request.body)
    return decode_leniently(fields["payload"]) if "payload" in fields else fields


def _draft(body: Any, type: str, request: Request, now: int) -> Draft:
    query, sender = request.parameters(), _sender(request)
    data = dict(body) if isinstance(body, dict) else {"body": body}
    kept = {name.lower(): request.headers[name] for name in sender.keeps if name in request.headers}
    if kept:
        data.setdefault(HEADERS, kept)
    return Draft(
        type,
        time=_time(data, query.get("time"), sender),
        id=_id(data, query.get("id"), sender, request, now),
        data=data,
        source=body,
        fixed=True,
    )


def _sender(request: Request) -> Sender:
    return next((one for one in SENDERS if one.header in request.headers), Sender(""))


def _time(data: Mapping[str, Any], named: str | None, sender: Sender) -> Any:
    if named is not None:
        return instant.parse_any_unit(at(data, named))
    for path in sender.times:
        with suppress(InvalidRequest):  # not every event of a service has a time
            return instant.parse_any_unit(at(data, path))
    return ABSENT


def _id(data: Mapping[str, Any], named: str | None, sender: Sender, request: Request, now: int) -> Any:
    if named is not None:
        return at(data, named)
    if sender.id is not None:
        return request.headers.get(sender.id, ABSENT) or ABSENT
    if sender.id_at is not None:
        with suppress(InvalidRequest):
            return at(data, sender.id_at)
        return ABSENT
    return notification_id(data, now)


def _answer(request_id: str, rejections: Sequence[Rejection]) -> Reply:
    return error_reply(InvalidRequest(rejections[0].reason), request_id) if rejections else Reply()
