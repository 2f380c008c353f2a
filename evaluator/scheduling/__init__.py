"""Sharing one process: the fair scheduler of queries, and the queue of those who send much."""
