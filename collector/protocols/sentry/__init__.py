"""Sentry's envelopes: errors, transactions, spans, logs and metrics of its SDKs."""
