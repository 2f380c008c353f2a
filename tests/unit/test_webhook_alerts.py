"""Ids of Alertmanager's notifications."""

from __future__ import annotations

from typing import Any

import pytest

from collector.protocols.webhook_alerts import WINDOW_MS, notification_id
from cube.model import instant
from cube.model.event import ABSENT

START = "2026-11-02T12:00:00.123Z"
CHANGED = instant.parse(START)
NEVER = "0001-01-01T00:00:00Z"


def alert(**more: Any) -> dict[str, Any]:
    return {"status": "firing", "fingerprint": "5ef7", "startsAt": START, "endsAt": NEVER, **more}


def message(*alerts: Any, **more: Any) -> dict[str, Any]:
    said = {"receiver": "cube", "status": "firing", "groupKey": "{}:{}", "truncatedAlerts": 0}
    return {**said, "alerts": list(alerts or [alert()]), **more}


def test_what_is_sent_again_has_the_id_of_the_first_attempt() -> None:
    first = notification_id(message(), CHANGED + 30_000)
    again = message(alert(annotations={"summary": "8 sold"}), commonAnnotations={"summary": "8 sold"})
    assert notification_id(again, CHANGED + WINDOW_MS - 1) == first != ABSENT


def test_a_reminder_is_a_notification_of_its_own() -> None:
    reminders = {notification_id(message(), CHANGED + 30_000 + n * WINDOW_MS) for n in range(4)}
    assert len(reminders) == 4


@pytest.mark.parametrize(
    "other",
    [
        message(alert(status="resolved", endsAt="2026-11-02T12:03:00Z"), status="resolved"),
        message(alert(startsAt="2026-11-02T12:00:00.124Z")),
        message(alert(fingerprint="5ef8")),
        message(alert(), alert(fingerprint="5ef8")),
        message(groupKey="{}:{shop}"),
        message(receiver="another"),
    ],
)
def test_another_state_group_or_receiver_is_another_notification(other: Any) -> None:
    assert notification_id(other, CHANGED + 30_000) not in (
        ABSENT,
        notification_id(message(), CHANGED + 30_000),
    )


@pytest.mark.parametrize(
    "body",
    [{}, message(alerts=[]), message("text"), message({"status": "firing"}), message(alert(startsAt="?"))],
)
def test_what_is_no_message_of_alertmanagers_has_no_id(body: Any) -> None:
    assert notification_id(body, CHANGED) is ABSENT
