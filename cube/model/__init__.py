"""Values: what events, times, metrics and keys are. No I/O, no clock, no log."""
