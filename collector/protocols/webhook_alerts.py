"""Ids for Alertmanager's deliveries, which have none. Pure.

Source: what Alertmanager 0.25 sends. A delivery whose reply was lost comes again with the same state of the
same alerts: at once, or with the group's next interval. So does a reminder (``repeat_interval``), which is a
notification of its own; only the time tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from collector.protocols.shared.values import hashed
from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import ABSENT

WINDOW_MS: Final = 15 * 60_000
"""Counted from the last change, so that its notification and what is sent again fall into the first window:
the usual wait for a group, two of its intervals and the pauses between attempts are shorter."""

_STATE: Final = ("fingerprint", "status", "startsAt", "endsAt")


def notification_id(body: Mapping[str, Any], now: int) -> Any:
    """Return an id that a notification shares with its repetitions; `ABSENT` of what is no such message.

    It is made of the receiver, the group, each alert's state, and the window of ``now`` (milliseconds since
    1970). Annotations are left out: Prometheus may write another value there between two attempts.
    """
    alerts = body.get("alerts")
    if not isinstance(body.get("groupKey"), str) or not isinstance(alerts, list) or not alerts:
        return ABSENT
    try:
        states = [[alert[name] for name in _STATE] for alert in alerts]
        changed = max(instant.parse(alert[_last(alert)]) for alert in alerts)
    except (InvalidRequest, KeyError, TypeError):  # another service's, with a form of its own
        return ABSENT
    said = [body.get(name) for name in ("receiver", "groupKey", "status", "truncatedAlerts")]
    return hashed([said, states, (now - changed) // WINDOW_MS])


def _last(alert: Mapping[str, Any]) -> str:
    return "endsAt" if alert["status"] == "resolved" else "startsAt"
