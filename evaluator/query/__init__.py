"""Questions: from parameters to queries, and the errors of those that are over a limit."""
