"""Daemons as processes: event loop, log, error reports, ports, memory, and children that are kept running."""
