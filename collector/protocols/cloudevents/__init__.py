"""The dialect CloudEvents 1.0: `http` reads requests, `event` the JSON format."""

from collector.protocols.cloudevents.http import dialect

__all__ = ["dialect"]
