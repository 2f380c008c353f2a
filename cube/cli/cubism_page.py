"""A page with Cubism.js, as dashboards of Square's Cube have it, drawn from what ``cube demo`` sends.

Cubism and D3 are the user's: they are read from where npm, or somebody, has put them, and nothing is loaded
from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

from cube.errors import InvalidRequest

PAGE: Final = Path(__file__).with_name("cubism")
ADDRESS_MARK: Final = b"EVALUATOR"
"""What stands in ``index.html`` for the address of the evaluator."""

LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "/d3.js": ("node_modules/d3/d3.js", "d3.v3.js", "d3.v3.min.js", "d3.js", "d3.min.js"),
    "/cubism.js": ("node_modules/cubism/cubism.v1.js", "cubism.v1.js", "cubism.v1.min.js"),
}
"""Where in a directory each library is looked for: as npm has it, and as downloads are called."""

_SCRIPT, _HTML = "text/javascript; charset=utf-8", "text/html; charset=utf-8"
_POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src {}; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Example:
    """What the page is made of, by path: content type and content; ``evaluator``: whom it asks."""

    evaluator: str
    contents: Mapping[str, tuple[str, bytes]]

    @classmethod
    def of(cls, directory: Path, evaluator: str) -> Example:
        """Read all from a directory that has the libraries; raises `InvalidRequest` where it has not."""
        page = (PAGE / "index.html").read_bytes().replace(ADDRESS_MARK, escape(evaluator).encode())
        contents = {"/": (_HTML, page), "/charts.js": (_SCRIPT, (PAGE / "charts.js").read_bytes())}
        for path, places in LIBRARIES.items():
            contents[path] = (_SCRIPT, _library(directory, places).read_bytes())
        return cls(evaluator, contents)


@contextmanager
def cubism_page(example: Example, port: int = 0) -> Iterator[str]:
    """Serve an example to this machine in this block; gives its address. Raises `InvalidRequest`."""
    headers = {
        "Content-Security-Policy": _POLICY.format(example.evaluator),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a connection that is opened and sends nothing

        def do_GET(self) -> None:
            kind, content = example.contents.get(self.path.partition("?")[0], ("text/plain", b""))
            self.send_response(HTTPStatus.OK if content else HTTPStatus.NOT_FOUND)
            for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: who looks at the page sees it."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise InvalidRequest(f"The port {port} cannot be listened on: {error.strerror}.") from None
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _library(directory: Path, places: tuple[str, ...]) -> Path:
    for place in places:
        if (directory / place).is_file():
            return directory / place
    raise InvalidRequest(
        f"{directory} has no {places[0]}; accepted is a directory with Cubism.js 1 and D3 3, such as one in"
        " which `npm install cubism@1.6.0 d3@3` was run."
    )
