"""StatsD, and what Datadog adds to it: lines over UDP."""

from collector.protocols.statsd.reader import StatsdReader

__all__ = ["StatsdReader"]
