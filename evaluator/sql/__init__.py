"""SQL over the events: statements run by DuckDB in processes of their own, over the evaluator's columns."""
