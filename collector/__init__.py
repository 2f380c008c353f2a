"""The collector: takes events in over HTTP, WebSocket and UDP, and stores them.

`protocols` makes batches of valid events of what comes in; `ingest` stores them with as few writes as their
arrival allows; `app` puts both together; `main` opens the store and runs it all.
"""
