"""Waiting until daemons can do their work, as they say themselves at ``/readyz``."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

ASK_SECONDS = 8.0
PAUSE_SECONDS = 0.2

_ANSWER_BYTES = 10_000


async def until_ready(addresses: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Return once all daemons are ready; ``addresses``: where each listens, by its name.

    ``tell`` hears why one is not, once for each reason. One that does not answer is started again by whoever
    keeps it, and asked again.
    """
    await asyncio.gather(*(_until_ready(name, url, tell) for name, url in addresses.items()))


async def _until_ready(name: str, url: str, tell: Callable[[str], None]) -> None:
    told = ""
    while (reason := await asyncio.to_thread(_reason, url)) is not None:
        if reason != told:
            told = reason
            tell(f"The {name} is not ready: {reason}")
        await asyncio.sleep(PAUSE_SECONDS)


def _reason(url: str) -> str | None:
    """Ask a daemon; return why it is not ready, None if it is. Blocks."""
    connection = _connection(url)
    try:
        connection.request("GET", "/readyz", headers={"Connection": "close", "Host": "localhost"})
        answer = connection.getresponse()
        if answer.status == HTTPStatus.OK:
            return None
        return str(json.loads(answer.read(_ANSWER_BYTES))["error"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        return f"it does not answer ({type(error).__name__})."
    finally:
        connection.close()


def _connection(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return HTTPConnection(host, port, timeout=ASK_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False  # it is our own child, whatever names its certificate has
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=ASK_SECONDS, context=context)
