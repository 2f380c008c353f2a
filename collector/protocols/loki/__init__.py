"""Loki's push: lines of log with labels, in JSON of two versions and in protobuf."""
