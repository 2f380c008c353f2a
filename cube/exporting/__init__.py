"""Answers as files: JSON lines, CSV and Parquet, in memory that does not grow with them."""
