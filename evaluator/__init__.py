"""The evaluator: the daemon that answers questions about events.

`query` reads a question, `engine` evaluates it, `scheduling` shares the process fairly among those who ask,
`streams` follows what changes, and `api` brings all of it to HTTP and WebSockets.
"""
