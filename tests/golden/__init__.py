"""Scripts that say what expressions mean, run over every store and over the plain definitions."""
