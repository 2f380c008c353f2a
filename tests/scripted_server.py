"""An HTTP server of the tests that answers by a script."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Script:
    """What a server answers, one reply for each request, and what it was asked."""

    def __init__(self, *replies: tuple[int, Any, dict[str, str]] | None) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, Any]] = []


@contextmanager
def served(script: Script) -> Iterator[str]:
    """Serve a script over HTTP; None for a reply closes the connection without one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.asked.append((self.path, json.loads(body) if body else None))
            reply = script.replies.pop(0)
            if reply is None:
                self.close_connection = True
                return
            status, content, headers = reply
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.close_connection = "Content-Length" in headers  # one that is not the text's
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815 - the names that the standard library looks for

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ok(content: Any) -> tuple[int, Any, dict[str, str]]:
    return 200, content, {}
