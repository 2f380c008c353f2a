"""The collector: takes events in over HTTP, WebSocket and UDP, and stores them.

`handlers`, `datagram` (and dialects) make batches of valid events; the `intake` stores them with as few
writes as their arrival allows; `app` holds the table of routes; `main` chooses the store and runs it all.
"""
