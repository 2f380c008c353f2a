"""The dialect collectd: `protocol` reads what its daemon sends, `series` what its counters mean."""

from collector.protocols.collectd.protocol import dialect

__all__ = ["dialect"]
