"""The dialect of The Eye: `protocol` takes events, `search` gives them back."""
