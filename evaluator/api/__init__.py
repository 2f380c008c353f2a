"""The evaluator over HTTP and WebSockets: routes with their schemas, sessions, and the query service."""
