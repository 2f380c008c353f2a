"""The dialect OTLP/HTTP logs: `http` reads requests, `protobuf` and `json_form` the two encodings, into
the `record` that both mean."""
