"""Pages for a browser, on an origin of their own."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets


@asynccontextmanager
async def pages(content: Mapping[str, str | Path]) -> AsyncIterator[str]:
    """Serve texts (HTML) and files by their paths; gives the origin, such as http://127.0.0.1:40123."""

    def answer(request: HTTPServerRequest) -> None:
        found = content.get(request.path)
        body = found.read_bytes() if isinstance(found, Path) else (found or "").encode()
        kind = mimetypes.guess_type(found.name)[0] if isinstance(found, Path) else "text/html"
        headers = HTTPHeaders({"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))})
        status = (404, "Not Found") if found is None else (200, "OK")
        request.connection.write_headers(ResponseStartLine("HTTP/1.1", *status), headers, body)
        request.connection.finish()

    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(answer)
    server.add_sockets(sockets)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()
