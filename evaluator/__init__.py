"""The evaluator: the daemon that answers questions about events.

`evaluator.query` reads a question, `evaluator.evaluation` answers it on the `evaluator.pyramid`, and
`evaluator.handlers` and `evaluator.conversation` bring both to HTTP and WebSocket.
"""
