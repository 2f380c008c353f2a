"""Sends CloudEvents with the PyPI SDK: both of its interfaces, all modes. Prints the statuses."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import requests
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent
from cloudevents.v1.http import to_binary as old_binary
from cloudevents.v1.http import to_structured as old_structured

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def event(id: str, value: int, **attributes: str) -> CloudEvent:
    given = {
        "id": id,
        "source": "/python",
        "type": "com.acme.order.created",
        "time": TIME,
        "specversion": "1.0",
    }
    return CloudEvent({**given, **attributes}, {"value": value})


def old_event(id: str, value: int) -> OldCloudEvent:
    given = {"id": id, "source": "/python-v1", "type": "com.acme.order.created", "time": TIME.isoformat()}
    return OldCloudEvent(given, {"value": value})


def send(url: str, message: HTTPMessage) -> int:
    return requests.post(url, data=message.body, headers=message.headers, timeout=10).status_code


def send_old(url: str, headers: dict[str, str], body: bytes) -> int:
    return requests.post(url, data=body, headers=headers, timeout=10).status_code


def main(url: str) -> None:
    form = JSONFormat()
    print(send(url, to_binary_event(event("1", 1, subject="é 100%", myext="x"))))
    print(send(url, to_structured_event(event("2", 2))))
    print(send(url, to_binary_event(event("1", 1, subject="é 100%", myext="x"))))  # again
    print(send_old(url, *old_binary(old_event("1", 4))))
    print(send_old(url, *old_structured(old_event("2", 8))))
    batch = b"[" + b",".join(form.write(event(str(id), 16 * id)) for id in (1, 2)).replace(
        b"/python", b"/batch"
    )
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    print(send_old(url, headers, batch + b',{"specversion": "1.0", "type": "bad"}]'))


main(sys.argv[1])
