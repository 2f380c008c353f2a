"""Benchmarks: `make bench`, or ``python -m tests.benchmark NAME …`` for some of them.

Each measures Cube beside a bare reference, turn by turn in one run, and prints medians, the ratio and its
spread. No test depends on a time.
"""
