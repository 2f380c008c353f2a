"""The promise under random interleavings: a scheduler, gates in the ports and the driver, a model."""
