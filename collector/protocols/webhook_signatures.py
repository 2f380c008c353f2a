"""Signatures of webhooks: who posts knows the secret, and posted just now. Pure.

Source: the published descriptions of GitHub's, Stripe's, Slack's, Sentry's and GitLab's webhooks and of
Standard Webhooks. The bytes that came are signed, so they are looked at before anything is read of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from cube.errors import InvalidSettings, Unauthenticated
from cube.model.event import is_type
from cube.web import Request

TOLERANCE_SECONDS: Final = 300
"""How far the time of a signature may be from its arrival: what was overheard cannot be posted later."""

_TIMED = re.compile(rb"(?:v0:|[\w.-]{0,200}\.)?[0-9]{1,15}[.:]")
"""What others sign begins so: it cannot be posted later, without its time, as what is signed without one."""

Secrets: TypeAlias = Mapping[str, Sequence[str]]
_Check: TypeAlias = Callable[[str, str, Request, int], bool]


def read_secrets(entries: Iterable[str]) -> Secrets:
    """Read ``TYPE=SECRET``; a type may have several. Raises `InvalidSettings`, which shows no secret."""
    found: dict[str, list[str]] = {}
    for place, entry in enumerate(entries, 1):
        type, _, secret = entry.partition("=")
        if not is_type(type) or not secret:
            raise InvalidSettings(
                f"The entry {place} of dialects.webhook_secrets is not TYPE=SECRET; accepted are such ones."
            )
        found.setdefault(type, []).append(secret)
    return found


def verify(request: Request, type: str, secrets: Secrets, now: int) -> None:
    """Raise `Unauthenticated` where a type has secrets, and the request is signed with none of them."""
    known = secrets.get(type)
    if not known:
        return
    given = [(check, request.headers[name]) for name, check in SIGNATURES.items() if name in request.headers]
    if not given:
        names = ", ".join(SIGNATURES)
        raise Unauthenticated(f"Got no signature for the type {type}; accepted is one in {names}.")
    if not any(check(value, secret, request, now // 1000) for check, value in given for secret in known):
        raise Unauthenticated(
            f"Got a signature for the type {type} that is not by its secret, or is older than"
            f" {TOLERANCE_SECONDS} s; accepted is one that is."
        )


def _github(value: str, secret: str, request: Request, _: int) -> bool:
    return _same(value, "sha256=" + _hex(secret, request.body)) and not _TIMED.match(request.body)


def _stripe(value: str, secret: str, request: Request, now: int) -> bool:
    pairs = [part.strip().partition("=") for part in value.split(",")]
    time = next((text for name, _, text in pairs if name == "t"), "")
    expected = _hex(secret, time.encode() + b"." + request.body)
    return _is_recent(time, now) and any(name == "v1" and _same(text, expected) for name, _, text in pairs)


def _slack(value: str, secret: str, request: Request, now: int) -> bool:
    time = request.headers.get("X-Slack-Request-Timestamp", "")
    expected = "v0=" + _hex(secret, b"v0:" + time.encode() + b":" + request.body)
    return _is_recent(time, now) and _same(value, expected)


def _sentry(value: str, secret: str, request: Request, _: int) -> bool:
    return _same(value, _hex(secret, request.body)) and not _TIMED.match(request.body)


def _gitlab(value: str, secret: str, _: Request, __: int) -> bool:
    return _same(value, secret)  # the secret itself: GitLab signs nothing


def _standard(value: str, secret: str, request: Request, now: int) -> bool:
    time = request.headers.get("Webhook-Timestamp", "")
    signed = f"{request.headers.get('Webhook-Id', '')}.{time}.".encode() + request.body
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return _is_recent(time, now) and any(_same(part, expected) for part in value.split())


SIGNATURES: Final[Mapping[str, _Check]] = {
    "X-Hub-Signature-256": _github,
    "Stripe-Signature": _stripe,
    "X-Slack-Signature": _slack,
    "Sentry-Hook-Signature": _sentry,
    "X-Gitlab-Token": _gitlab,
    "Webhook-Signature": _standard,
}
"""By the header that a signature stands in."""


def _hex(secret: str, content: bytes) -> str:
    return hmac.digest(secret.encode(), content, hashlib.sha256).hex()


def _same(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.strip().encode(), expected.encode())


def _is_recent(time: str, now: int) -> bool:
    return time.isascii() and time.isdigit() and len(time) < 16 and abs(now - int(time)) <= TOLERANCE_SECONDS
