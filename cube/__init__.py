"""Cube: an event store and metric evaluator."""
