"""The evaluator over HTTP and WebSockets: handlers, the rows of answers, and how they are written."""
