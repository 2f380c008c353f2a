"""What the collector answers a browser that opens its address: what it is, and where to go on."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from cube.settings import EvaluatorSettings
from cube.web import Operation, Reply, Request, Route
from cube.web.page_policy import page_headers

PATH = "/"

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 38rem; margin: 12vh auto; padding: 0 1.25rem; font: 1rem/1.6 system-ui, sans-serif;
  color: light-dark(#1b2126, #e8ecef); background: light-dark(#fff, #14181b); }
h1 { font-size: 1.5rem; line-height: 1.25; }
a { color: light-dark(#0b7a75, #5cc8c0); }
code { font: .9em ui-monospace, monospace; }
pre { padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere;
  border-radius: 8px; background: light-dark(#f2f5f6, #1d2327); }
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cube collector</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>This is the collector of Cube: it takes events in.</h1>
<p>Whoever wants to look at them opens the <strong>evaluator</strong>, a daemon of its own: on port
{EvaluatorSettings().port} of the same machine, unless it was told another.</p>
<p>An event is sent like this, to this very address:</p>
<pre><code>curl -s ORIGIN/1.0/event -d '{{"type": "request", "data": {{"ms": 41}}}}'</code></pre>
<p><a href="/openapi.json">Everything that it answers</a> ·
<a href="/readyz">whether it is ready</a> · <a href="/metrics">figures about its work</a>.
The documentation is in Cube's folder <code>docs</code>;
<code>docs/reference.md</code> is the place to begin.</p>
</main>
</body>
</html>
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = (*page_headers(f"'sha256-{_HASH}'"), ("Cache-Control", "no-cache"))
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


async def front_page(request: Request) -> Reply:
    """Answer with the page, which shows the address that was opened."""
    host = request.headers.get("Host", "")
    origin = f"{request.scheme}://{host}" if _HOST.fullmatch(host) else "http://127.0.0.1:1080"
    page = _PAGE.replace("ORIGIN", origin)
    return Reply(page.encode(), content_type="text/html; charset=utf-8", headers=_HEADERS)


def page_route() -> Route:
    """Return the page's route; a dialect may have other methods of its path, or claim requests to it."""
    operation = Operation(
        front_page,
        "What this is, for whoever opens it in a browser.",
        content_type="text/html; charset=utf-8",
    )
    return Route(PATH, {"GET": operation})


def with_front_page(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Add the page to a table of routes in which nothing has its path."""
    table = tuple(routes)
    return table if any(route.path == PATH for route in table) else (*table, page_route())
