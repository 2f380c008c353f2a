"""The HTTP API of Prometheus: what Grafana, promtool and client libraries ask, answered from metrics."""
