"""Evaluation: the pyramid of tiers, its cache, and the computation of what is missing from events."""
