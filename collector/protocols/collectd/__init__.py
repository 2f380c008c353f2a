"""The dialect collectd: `body` reads what its daemon sends, `rates` its counters."""

from collector.protocols.collectd.protocol import dialect

__all__ = ["dialect"]
