"""Snowplow: what its trackers send, by POST and as a pixel; Datacoral's variant on the same paths.

Sources: the Snowplow tracker protocol, and what its collector (stream-collector, commit b007d7e) and
its enrichment (enrich, commit 607962e) do.
"""
