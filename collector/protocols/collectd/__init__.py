"""collectd: value lists and notifications of its plugin write_http, in JSON."""
