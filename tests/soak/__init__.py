"""Long runs under load; ``python -m tests.soak`` is what ``make soak`` does."""
