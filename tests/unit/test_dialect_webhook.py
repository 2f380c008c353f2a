"""Deliveries of webhooks as events."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.protocols.shared.dialect import Draft, Translation
from collector.protocols.webhook import credentials, dialect, translate
from cube.errors import InvalidRequest, InvalidSettings, Unauthenticated
from cube.model.event import ABSENT
from tests.dialect_request import NOW, context, request

GITHUB = {
    "X-GitHub-Event": "push",
    "X-GitHub-Delivery": "7f0a",
    "X-GitHub-Hook-ID": "12",
    "X-Hub-Signature-256": "sha256=00",
}


def deliver(body: Any, query: str = "", type: str = "hook", **headers: str) -> Translation:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = request(text, headers, f"/1.0/webhook/{type}?{query}", captures={"type": type})
    return translate(made, context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def test_githubs_event_and_delivery_are_kept_and_its_signature_is_not() -> None:
    draft = only(deliver({"ref": "refs/heads/main"}, type="github", **GITHUB))
    assert (draft.name, draft.fixed, draft.time, draft.id) == ("github", True, ABSENT, "7f0a")
    kept = {"x-github-event": "push", "x-github-delivery": "7f0a", "x-github-hook-id": "12"}
    assert draft.data == {"ref": "refs/heads/main", "http_headers": kept}


def test_githubs_form_is_its_json() -> None:
    form = urlencode({"payload": json.dumps({"zen": "é & +"})}).encode()
    headers = {**GITHUB, "Content-Type": "application/x-www-form-urlencoded"}
    assert only(deliver(form, **headers)).data["zen"] == "é & +"
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    assert only(deliver(b"command=%2Fdeploy&text=", **plain)).data == {"command": "/deploy", "text": ""}


@pytest.mark.parametrize("body", [b'{"ref": "a&b=c+d"}', b' [{"ref": 1}]'])
def test_json_that_is_called_a_form_is_json(body: bytes) -> None:
    """As curl's --data calls everything that it sends."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert only(deliver(body, **form)).data == only(deliver(body)).data


def test_broken_json_that_is_called_a_form_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not JSON that can be read"):
        deliver(b'{"broken', **{"Content-Type": "application/x-www-form-urlencoded"})


@pytest.mark.parametrize(
    ("headers", "body", "id", "time"),
    [
        (
            {"Stripe-Signature": "t=1,v1=0"},
            {"id": "evt_1", "created": 1_767_323_045},
            "evt_1",
            1_767_323_045_000,
        ),
        (
            {"X-Slack-Signature": "v0=0"},
            {"event_id": "Ev1", "event_time": 1_767_323_045, "event": {"event_ts": "1767323045.000200"}},
            "Ev1",
            1_767_323_045_000,
        ),
        ({"Sentry-Hook-Resource": "issue", "Request-ID": "r1"}, {"action": "created"}, "r1", ABSENT),
        ({"X-Gitlab-Event": "Push Hook", "Idempotency-Key": "k1"}, {}, "k1", ABSENT),
        ({"webhook-id": "msg_1", "webhook-timestamp": "1767323045"}, {"type": "a.b"}, "msg_1", ABSENT),
        ({}, {"id": "not known to last"}, ABSENT, ABSENT),
        ({"Stripe-Signature": "t=1,v1=0"}, {}, ABSENT, ABSENT),
    ],
)
def test_each_service_has_its_own_places(headers: Any, body: Any, id: Any, time: Any) -> None:
    draft = only(deliver(body, **headers))
    assert (draft.id, draft.time) == (id, time)


def test_the_time_and_the_id_can_be_named() -> None:
    body = {"events": [{"at": "2026-01-02T03:04:05Z", "key": 7}]}
    draft = only(deliver(body, "time=events.0.at&id=events.0.key", **GITHUB))
    assert (draft.time, draft.id) == (1_767_323_045_000, 7)
    translation = deliver(body, "id=events.1.key")
    (rejection,) = translation.rejections
    assert rejection.reason == "There is no events.1.key; accepted is an object with one."
    assert translation.reply(translation.rejections).status == 400


def test_slack_is_answered_its_challenge_and_nothing_is_stored() -> None:
    translation = deliver({"type": "url_verification", "challenge": "c1", "token": "t"})
    assert not translation.drafts
    reply = translation.reply(())
    assert (reply.body, reply.content_type) == (b"c1", "text/plain")


def test_a_challenge_that_is_not_unicode_is_a_delivery_as_any_other() -> None:
    translation = deliver({"type": "url_verification", "challenge": "\ud800"})
    translation.reply(translation.rejections)
    assert len(translation.drafts) == 1


def test_what_is_no_object_and_what_has_our_property_is_kept() -> None:
    assert only(deliver([1, 2])).data == {"body": [1, 2]}
    assert only(deliver({"http_headers": 1}, **GITHUB)).data == {"http_headers": 1}


def test_a_type_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Got the type"):
        deliver({}, type="My-Hook")


def test_a_token_in_the_query_is_a_key() -> None:
    assert credentials(request(target="/1.0/webhook/x?access_token=k")).keys == {"k"}


BODY = b'{"type": "x", "created": 1699999990}'
SECOND = NOW // 1000
SECRET = "It's a Secret to Everybody"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw"


def signed(*parts: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), b"".join(parts), "sha256").hexdigest()


def stripe(time: int = SECOND, secret: str = SECRET) -> str:
    return f"t={time},v1={'0' * 64},v1={signed(b'%d.' % time, BODY, secret=secret)},v0=00"


def slack(time: int = SECOND) -> dict[str, str]:
    signature = "v0=" + signed(b"v0:%d:" % time, BODY)
    return {"X-Slack-Request-Timestamp": str(time), "X-Slack-Signature": signature}


def standard(time: int = SECOND) -> dict[str, str]:
    key = base64.b64decode(STANDARD.removeprefix("whsec_"))
    made = base64.b64encode(hmac.new(key, b"msg_1.%d." % time + BODY, "sha256").digest()).decode()
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(time), "Webhook-Signature": f"v1,AA v1,{made}"}


def verified(
    headers: Mapping[str, str], secrets: Sequence[str], body: bytes = BODY, type: str = "hook"
) -> bool:
    made = request(body, headers, f"/1.0/webhook/{type}", captures={"type": type})
    (endpoint,) = dialect(secrets=secrets).endpoints
    try:
        return bool(endpoint.translate["POST"](made, context()).drafts)
    except Unauthenticated:
        return False


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": "sha256=" + signed(BODY)},
        {"Stripe-Signature": stripe()},
        {"Stripe-Signature": stripe(SECOND - 299)},
        slack(),
        {"Sentry-Hook-Signature": signed(BODY)},
        {"X-Gitlab-Token": SECRET},
        standard(),
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_signature_with_one_of_a_types_secrets_is_accepted(headers: dict[str, str]) -> None:
    secrets = ["hook=an older one", f"hook={SECRET}", f"hook={STANDARD}"]
    assert verified(headers, secrets)
    assert not verified(headers, ["hook=another"])
    assert not verified({**headers, "X-Gitlab-Token": "no"}, secrets, BODY + b" ")
    assert verified(headers, ["other=another"]), "that type has none"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": signed(BODY)},
        {"Stripe-Signature": stripe(SECOND - 301)},
        {"Stripe-Signature": stripe(SECOND + 301)},
        {"Stripe-Signature": "v1=00"},
        {"Stripe-Signature": "t=x,v1=00"},
        slack(SECOND - 301),
        {**slack(), "X-Slack-Request-Timestamp": str(SECOND - 1)},
        {"X-Slack-Signature": slack()["X-Slack-Signature"]},
        standard(SECOND + 301),
        {"X-Gitlab-Token": "\xe9"},
    ],
)
def test_what_is_not_signed_or_is_old_is_refused(headers: dict[str, str]) -> None:
    assert not verified(headers, [f"hook={SECRET}", f"hook={STANDARD}"])


def test_what_was_overheard_cannot_be_posted_later_as_if_it_had_no_time() -> None:
    form, old = {"Content-Type": "application/x-www-form-urlencoded"}, b"%d" % (SECOND - 10_000)
    for head in (b"v0:%b:" % old, b"%b." % old, b"msg_1.%b." % old):
        body = head + b"a=b&payload={}"
        for name, value in (("X-Hub-Signature-256", "sha256="), ("Sentry-Hook-Signature", "")):
            assert not verified({**form, name: value + signed(body)}, [f"hook={SECRET}"], body)


def test_githubs_own_example_is_accepted() -> None:
    """That of its documentation, "Testing the webhook payload validation"."""
    value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": value}
    (endpoint,) = dialect(secrets=[f"hook={SECRET}"]).endpoints
    made = request(b"Hello, World!", headers, "/1.0/webhook/hook", captures={"type": "hook"})
    with pytest.raises(InvalidRequest, match="not JSON"):
        endpoint.translate["POST"](made, context())


@pytest.mark.parametrize("entry", ["hook", "hook=", "=secret", "No-Type=secret"])
def test_an_entry_that_is_no_secret_is_refused_without_being_shown(entry: str) -> None:
    with pytest.raises(InvalidSettings, match="The entry 2 of dialects.webhook_secrets") as refused:
        dialect(secrets=["a=b", entry])
    assert "secret;" not in refused.value.message
