"""The benchmark: ``make bench``, or ``bin/bench NAME …`` for the workloads whose names contain a NAME.

What is measured stands in ``workloads.toml``, how in `reading`, `writing` and `watching`. All of it runs on
this working tree, on the commit that ``BASE`` names, and on peers, all in turn within one run, so that a
machine that drifts slows all alike. Daemons are spoken to over HTTP, WebSocket and UDP alone, so that the
same benchmark runs on older commits. No test depends on a time.
"""
