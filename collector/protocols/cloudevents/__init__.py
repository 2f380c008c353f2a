"""The dialect CloudEvents 1.0: `http` reads requests, `event` the JSON format."""
