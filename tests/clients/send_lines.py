"""Logs with the HTTPHandler of Python's own logging: a form, or a query.

python send_lines.py URL POST|GET
"""

from __future__ import annotations

import logging
import sys
from logging.handlers import HTTPHandler
from urllib.parse import urlsplit


def main(url: str, method: str) -> None:
    handler = HTTPHandler(urlsplit(url).netloc, f"/1.0/lines/python_{method.lower()}", method)
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.warning("bought %s", "a book")


main(*sys.argv[1:])
