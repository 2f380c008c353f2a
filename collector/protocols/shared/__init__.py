"""What all dialects share: routing, naming, ids, dead letters, redaction, threads, and reading back."""
