"""Deliveries of webhooks as events."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.protocols.shared.dialect import Draft, Translation
from collector.protocols.webhook import credentials, translate
from cube.errors import InvalidRequest
from cube.model.event import ABSENT
from tests.dialect_request import context, request

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
