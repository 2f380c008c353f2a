"""InfluxDB's ways in: line protocol, and the paths that its clients of releases 1, 2 and 3 write to."""
