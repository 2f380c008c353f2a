"""Questions: from parameters to queries, what a key may see of them, and their limits."""
