"""The dialect Tracardi: `protocol` has its paths, `payload` what is sent, `events` what becomes of it."""
