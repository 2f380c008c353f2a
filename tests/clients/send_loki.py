"""Logs with PyPI's python-logging-loki. Prints what its handler says.

python send_loki.py URL KEY 0|1
"""

from __future__ import annotations

import logging
import sys

import logging_loki


def main(url: str, key: str, version: str) -> None:
    path = "/loki/api/v1/push" if version == "1" else "/api/prom/push"
    tags = {"app": "shop", "how": f"python_{version}"}
    handler = logging_loki.LokiHandler(url + path, tags, ("tenant", key), version)
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.warning("bought %s", "a book", extra={"tags": {"n": 1}})
    logger.error("no books left")


main(*sys.argv[1:])
