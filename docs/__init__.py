"""Cube's documents; `docs.made` makes their tables."""
