"""The image of one pixel that answers requests of pages and mails."""

from __future__ import annotations

import base64
from typing import Final

from cube.web import Reply

PIXEL: Final = Reply(
    base64.b64decode("R0lGODlhAQABAPAAAP///wAAACH5BAUAAAAALAAAAAABAAEAAAICRAEAOw=="),
    content_type="image/gif",
    headers=(("Cache-Control", "no-cache, no-store, must-revalidate"),),
)
"""Never kept by who asked: each time it is shown is an event."""
