"""Sentry's SDKs against a running collector, and metrics over what they sent."""

from __future__ import annotations

from tests.foreign_client import WRITE_KEY, Running, run_node, run_python


def test_what_the_python_sdk_reports_is_measured(keyed: Running) -> None:
    assert run_python("send_sentry.py", keyed.collector, WRITE_KEY) == ""
    mine = '.eq(project, "42").eq(environment, "test")'
    events = keyed.evaluator.events
    (thrown,) = events(f'sentry_error(exception.values[0].value){mine}.eq(level, "error")')
    assert thrown.data == {"exception": {"values": [{"value": "shelf is empty"}]}}
    (said,) = events(f'sentry_error(message, tags.shop){mine}.eq(level, "warning")')
    assert said.data == {"message": "two\nlines, é", "tags": {"shop": "books"}}
    (transaction,) = events(f"sentry_transaction(transaction, spans[0].op, duration_ms){mine}")
    assert (transaction.data["transaction"], transaction.data["duration_ms"] > 0) == ("checkout", True)
    (log,) = events('sentry_log(body, attributes.price).eq(project, "42")')
    assert log.data == {"body": "bought a book", "attributes": {"price": 4}}
    assert keyed.rejected("sentry") == []


def test_what_the_npm_sdk_reports_is_measured(keyed: Running) -> None:
    assert run_node("@sentry/node", "send_sentry.mjs", keyed.collector, WRITE_KEY).strip() == ""
    events = keyed.evaluator.events
    errors = events('sentry_error(level).eq(project, "43")')
    assert sorted(event.data["level"] for event in errors) == ["error", "warning"]
    (log,) = events('sentry_log(body, attributes.price).eq(project, "43")')
    assert log.data == {"body": "bought", "attributes": {"price": 4}}
    assert keyed.rejected("sentry") == []
