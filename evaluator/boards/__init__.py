"""Boards: what of one a key may see, and keeping the metrics of those that are looked at computed."""
