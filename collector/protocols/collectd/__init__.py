"""The dialect collectd: `protocol` reads what its daemon sends, `series` what its counters mean."""
