"""Reports with Sentry's PyPI SDK. Prints what it says.

python send_sentry.py URL KEY
"""

from __future__ import annotations

import logging
import sys

import sentry_sdk
from sentry_sdk import logger


def main(url: str, key: str) -> None:
    dsn = url.replace("://", f"://{key}@") + "/42"
    options = {"traces_sample_rate": 1.0, "enable_logs": True, "environment": "test"}
    sentry_sdk.init(dsn, default_integrations=False, **options)
    transaction = sentry_sdk.start_transaction(op="task", name="checkout")
    with transaction, sentry_sdk.start_span(op="db", name="read"):
        try:
            raise ValueError("shelf is empty")
        except ValueError as error:
            sentry_sdk.capture_exception(error)
    sentry_sdk.set_tag("shop", "books")
    sentry_sdk.capture_message("two\nlines, é", level="warning")
    logger.warning("bought {title}", attributes={"price": 4}, title="a book")
    sentry_sdk.get_client().close(timeout=40)


logging.disable()
main(*sys.argv[1:])
