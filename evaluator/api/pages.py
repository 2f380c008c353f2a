"""The web page: its files as they lie under ``evaluator/pages``, read once and served from memory.

All but ``index.html`` are served below a path that holds the hash of them all: they may be cached for good,
and a page never gets modules of two versions.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cube.errors import NotFound
from cube.web import Operation, Reply, Request, Route
from cube.web.page_policy import page_headers

FOLDER = Path(__file__).resolve().parents[1] / "pages"
INDEX, ENTRY = "index.html", "app.js"
VERSION_MARK = b"VERSION"
"""What stands in ``index.html`` for the hash."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
_IMPORT = re.compile(rb'^(?:import|export) .*from "\./([\w-]+\.js)";$', re.MULTILINE)
_LEAST_PACKED = 500  # bytes; smaller files gain nothing


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file: its bytes, plain and packed by gzip (None where that gains nothing), and its ETag."""

    content_type: str
    plain: bytes
    packed: bytes | None
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> PageFile:
        """Take a file in."""
        packed = gzip.compress(content, 9, mtime=0) if len(content) >= _LEAST_PACKED else None
        digest = hashlib.sha256(content).hexdigest()[:32]
        return cls(CONTENT_TYPES[Path(name).suffix], content, packed, f'"{digest}"')

    def reply(self, request: Request, cached: str) -> Reply:
        """Answer a request for it, with 304 where the client has it."""
        headers = (*page_headers(), ("ETag", self.etag), ("Cache-Control", cached))
        if self.etag in request.headers.get("If-None-Match", ""):
            return Reply(b"", 304, self.content_type, headers)
        if self.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            return Reply(self.packed, 200, self.content_type, (*headers, ("Content-Encoding", "gzip")))
        return Reply(self.plain, 200, self.content_type, headers)


class Pages:
    """The files of a folder; ``version``: the hash of all of them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        contents = {
            path.name: path.read_bytes()
            for path in sorted(folder.iterdir())
            if path.suffix in CONTENT_TYPES and path.is_file()
        }
        digest = hashlib.sha256(repr(sorted(contents.items())).encode())
        self.version = digest.hexdigest()[:16]
        index = contents[INDEX].replace(b"</head>", _preloads(contents) + b"</head>")
        contents[INDEX] = index.replace(VERSION_MARK, self.version.encode())
        self._files: Mapping[str, PageFile] = {
            name: PageFile.of(name, content) for name, content in contents.items()
        }

    def routes(self) -> tuple[Route, ...]:
        """Return the page itself, and the files that it asks for."""
        html, script = CONTENT_TYPES[".html"], CONTENT_TYPES[".js"]
        file = Operation(self.get_file, "A file of the page, by the version of all.", content_type=script)
        return (
            Route("/", {"GET": Operation(self.get_index, "The page.", content_type=html)}),
            Route("/pages/{version}/{name}", {"GET": file}),
        )

    async def get_index(self, request: Request) -> Reply:
        """Answer with the page; nobody is asked for a key, as there is nothing in it but the page."""
        return self._files[INDEX].reply(request, "no-cache")

    async def get_file(self, request: Request) -> Reply:
        """Answer with a file; one of another version is this one's, and not to be kept."""
        file = self._files.get(request.captures["name"])
        if file is None:
            raise NotFound(f"There is no file {request.captures['name'][:100]} of the page.")
        is_current = request.captures["version"] == self.version
        return file.reply(request, _FOR_GOOD if is_current else "no-cache")


def _preloads(contents: Mapping[str, bytes]) -> bytes:
    """Return links to all modules of the first view, so that a browser asks for them at once.

    Else it would learn of those that a module imports only once that module is there: six trips, one by one.
    """
    found, waiting = {ENTRY: None}, [ENTRY]
    while waiting:
        for name in map(bytes.decode, _IMPORT.findall(contents.get(waiting.pop(), b""))):
            if name not in found:
                found[name] = None
                waiting.append(name)
    link = '<link rel="modulepreload" href="/pages/{}/{}">\n'
    return "".join(link.format(VERSION_MARK.decode(), name) for name in found).encode()
