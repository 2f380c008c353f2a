"""What others answer at the edges, and what we do: ``python -m tests.benchmark.compared`` writes the page."""
