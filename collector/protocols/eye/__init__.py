"""The dialect of The Eye: `protocol` takes events, `search` gives them back."""

from collector.protocols.eye.protocol import EYE

__all__ = ["EYE"]
