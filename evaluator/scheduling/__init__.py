"""SingleFlight one process: the fair scheduler of queries, deadlines, and work in threads."""
