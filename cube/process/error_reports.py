"""Faults reported to Sentry, where a DSN is set: what went wrong and where, never with what.

The package `sentry_sdk` (the extra ``sentry``) is imported only then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cube.errors import CubeError, InvalidSettings
from cube.process.logs import causes, request_of, words

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

LAST_SECONDS = 1.0
"""How long the end of the process waits for reports that are on their way."""

_KEPT = ("event_id", "exception", "level", "platform", "release", "sdk", "server_name", "tags", "timestamp")
"""All of an event that leaves the process; neither locals nor requests, users, breadcrumbs or messages."""

_FRAME = ("abs_path", "context_line", "filename", "function", "in_app", "lineno", "module")


@contextmanager
def reporting(dsn: str, daemon: str) -> Iterator[None]:
    """Report what is logged as an unexpected exception while the block runs; without a DSN, do nothing.

    Raises `InvalidSettings` where the DSN is not valid, or the package is missing.
    """
    if not dsn:
        yield
        return
    handler = _reporter(dsn, daemon)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


class _Reporter(logging.Handler):
    """Reports the exceptions that come with log records of level "error" and above."""

    def __init__(self, sdk: Any, daemon: str) -> None:
        super().__init__(logging.ERROR)
        self._sdk = sdk
        self._daemon = daemon

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record's exception, unless it is one of those that Cube raises on purpose."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or isinstance(error, CubeError):
            return
        with self._sdk.new_scope() as scope:
            scope.set_tag("daemon", self._daemon)
            scope.set_tag("logger", record.name)
            scope.set_tag("request", request_of(record))
            self._sdk.capture_exception(error)

    def close(self) -> None:
        """Send what is on its way, for a moment."""
        self._sdk.get_client().close(timeout=LAST_SECONDS)
        super().close()


def _reporter(dsn: str, daemon: str) -> _Reporter:
    try:
        import sentry_sdk
    except ImportError:
        raise InvalidSettings(
            "Got a sentry_dsn, and the package sentry-sdk is not installed; accepted is an installation with"
            " the extra sentry, in a checkout by .venv/bin/pip install -c constraints.txt -e '.[sentry]'."
        ) from None
    try:
        sentry_sdk.init(
            dsn,
            release=version("cube-events"),
            before_send=scrubbed,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            # Integrations hook into other packages and add what they see there.
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
        )
    except sentry_sdk.utils.BadDsn:
        raise InvalidSettings(
            "Got a sentry_dsn that is not one; accepted is https://KEY@HOST/PROJECT."
        ) from None
    return _Reporter(sentry_sdk, daemon)


def scrubbed(event: Event, hint: Hint) -> Event:
    """Return what of an event may leave the process; see `words` for what errors may say."""
    raised = hint["exc_info"][1] if "exc_info" in hint else None
    said = {} if raised is None else {str(error): words(error) for error in causes(raised)}
    kept: Any = {key: value for key, value in event.items() if key in _KEPT}
    for value in kept.get("exception", {}).get("values", ()):
        value["value"] = said.get(value.get("value"), "")
        for frame in (value.get("stacktrace") or {}).get("frames", ()):
            for key in frame.keys() - set(_FRAME):
                del frame[key]
    result: Event = kept
    return result
