"""Dialects: the foreign event protocols that the collector understands, one module each.

A dialect is a pure translation from a request to drafts of events, refusals, and the reply that its
client needs (`collector.dialects.dialect`). Routing, access, limits, the intake and the events of
type ``cube_rejected`` are shared.
"""
