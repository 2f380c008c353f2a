"""StatsD, and what Datadog adds to it: lines over UDP."""

from collector.dialects.statsd.reader import StatsdReader

__all__ = ["StatsdReader"]
