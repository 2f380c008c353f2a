"""StatsD, and what Datadog adds to it: lines over UDP."""
