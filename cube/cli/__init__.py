"""The command `cube`."""
