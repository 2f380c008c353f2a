"""Heads of requests: every header that anything here reads, with values of every kind."""

from __future__ import annotations

import base64
from typing import Final

from tests.fuzz.inputs import Inputs

METHODS: Final = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "get", "\xe9")
TARGETS: Final = (
    "/1.0/event",
    "/1.0/event/put",
    "/1.0/event/get",
    "/1.0/metric?expression=sum(a)&start=0&stop=1&step=1e3",
    "/1.0/metric/get",
    "/1.0/types/get",
    "/healthz",
    "/readyz",
    "/metrics",
    "/",
    "/i?e=pv",
    "/com.snowplowanalytics.snowplow/tp2",
    "/collectd",
    "/api/event/",
    "/track",
    "/collect/a/b",
    "/cloudevents?access_token=\xff",
    "/v1/logs",
    "/v1/batch",
    "/v1/pixel/track?data=\xfc",
    "*",
    "cube:80",
    "http://a/b",
    "http://[/",
    "http://\xff/healthz",
    "//1.0//event/",
    "/1.0/event?api_key=%FF%C3",
    "/%ff/\xff?\xff=%",
    "/" + "a" * 9000,
    "/?" + "&" * 2000,
)
NAMES: Final = (
    "Host",
    "Authorization",
    "X-Api-Key",
    "Cookie",
    "Origin",
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Content-Length",
    "Transfer-Encoding",
    "Content-Encoding",
    "Content-Type",
    "Expect",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Request-Id",
    "X-Context",
    "X-Timestamp",
    "X-Datacoral-Environment",
    "X-Datacoral-Passthrough",
    "X-Api-Key ",
    "SP-Anonymous",
    "WebHook-Request-Origin",
    "WebHook-Request-Rate",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "User-Agent",
    "ce-id",
    "ce-time",
    "ce-specversion",
    "Accept",
    "If-None-Match",
    "Range",
    "TE",
    "Trailer",
    "A b",
    "",
)
VALUES: Final = (
    "",
    "a",
    "\xff",
    "a\xe9b",
    "\x80" * 300,
    "null",
    "*",
    "0",
    "-1",
    "+1",
    "5",
    "5, 5",
    "5, 6",
    "9" * 5000,
    "0" * 5000 + "5",
    "\xb2",
    "1e3",
    "0x5",
    "chunked",
    "chunked, chunked",
    "gzip",
    "gzip, gzip",
    "identity",
    "zstd",
    "websocket",
    "Upgrade",
    "close",
    "keep-alive, Upgrade",
    "13",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "permessage-deflate; client_max_window_bits=\xff",
    "permessage-deflate; client_max_window_bits=99999999999999999999",
    "100-continue",
    "Bearer",
    "Bearer \xff",
    "Basic",
    "Basic \xfc",
    "Basic ====",
    "Basic a",
    "basic " + base64.b64encode(b"\xff:\xff").decode(),
    "Digest \xff",
    "http://a",
    "http://[",
    "https://\xff",
    "for=\xff;proto=https",
    'for="\\',
    "1.2.3.4, \xff, ::1%\xff",
    "application/json; charset=\xff",
    "application/cloudevents+json",
    "application/x-protobuf",
    "application/x-www-form-urlencoded; charset=nonsense",
    "multipart/form-data; boundary=\xff",
    "multipart/form-data; boundary=",
    "a" * 7000,
    "sp=\xff; sp=" + "b" * 50,
    "2026-02-30T99:99:99Z",
    "\t\x0b",
    "%FF%00",
    "['\xff']",
)


def head(made: Inputs) -> bytes:
    """Return a head that looks like one; most are not accepted."""
    chosen = made.random.choice
    version = chosen(("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.\xff"))
    lines = [f"{chosen(METHODS)} {chosen(TARGETS)} {version}"]
    if made.random.random() < 0.9:
        lines.append(chosen(("Host: localhost", "Host: localhost", "Host: cube")))
    if made.random.random() < 0.1:  # a whole handshake: what follows is read as frames
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    lines += [f"{chosen(NAMES)}: {chosen(VALUES)}" for _ in range(made.random.choice((0, 1, 1, 2, 3, 6)))]
    text = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return made.broken(text) if made.random.random() < 0.3 else text


def body(made: Inputs) -> bytes:
    """Return what may follow a head: a body, chunks, or frames, in no relation to what it announced."""
    content = made.body()
    match made.random.randrange(4):
        case 0:
            return b"%x;a=b\r\n%s\r\n0\r\nA: b\r\n\r\n" % (len(content), content)
        case 1:
            return bytes([0x81, 0x80 | min(len(content), 125)]) + b"\0\0\0\0" + content
        case 2:
            return made.broken(content)
        case _:
            return content
