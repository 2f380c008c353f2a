"""Cube's own protocol: events over HTTP, WebSocket and UDP."""
