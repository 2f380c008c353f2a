"""What has to hold after an overload, however long it was."""

from __future__ import annotations

from tests.soak.overload import RECOVERED, WAITING_EVENTS, Report

GROWTH_BYTES = 24 * 2**20
SLACK_SECONDS = 5.0


def check(report: Report) -> None:
    """Raise `AssertionError` for what does not hold."""
    assert report.lost == 0
    assert set(report.statuses) <= {200, 202, 503}
    assert report.statuses[503] > 0, "it was not an overload"
    assert len(report.acknowledged["ws"]) > 0
    assert report.growth < GROWTH_BYTES, f"memory grew by {report.growth} bytes"
    assert report.slowest < 2 * WAITING_EVENTS / report.rate_before + SLACK_SECONDS
    assert report.recovery < 2 * WAITING_EVENTS / report.rate_before + SLACK_SECONDS
    assert report.rate_after > RECOVERED * report.rate_before
    # Every datagram that arrived is stored, or counted as dropped.
    assert report.received_by_udp <= report.sent_by_udp
    assert len(report.stored["udp"]) == report.received_by_udp - report.dropped_by_udp
