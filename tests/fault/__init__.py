"""The bad things that happen to running processes, and what is left afterwards."""
