"""Answers: the rows of metrics and of events, written as JSON or Arrow within limits, whoever sends them."""
