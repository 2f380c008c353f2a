"""What a process logs: one JSON object a line, or text where a person reads it.

A line never holds a key or event data. Our own messages have none; drivers, which log whole commands,
speak from "warning" on alone; a fault's own words are left out where they may quote data; and what
still looks like a query string or a credential is masked.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from cube import json_text
from cube.errors import CubeError, InvalidRequest

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; it stands in every line that is logged meanwhile."""

OURS = ("cube", "collector", "evaluator")
"""The loggers that ``log_level`` is for."""

_SPOKEN = (
    AttributeError,
    ImportError,
    IndexError,
    MemoryError,
    NameError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
)
"""Kinds of errors whose words name code or files, never values."""

_SQLITE = "sqlite3"  # its messages name tables and columns; values are bound apart from the text

_MASKS = (
    (re.compile(r"(?<=[^\s\"'?])\?[^\s\"']*[=&][^\s\"']*"), "?…"),
    (re.compile(r"(://)[^\s/@\"']+@"), r"\1…@"),
    (
        re.compile(
            r"(?i)\b(api[-_]?key|authorization|bearer|basic|password|x-api-key)"
            r"(\\?[\"']?\s*[:=]\s*|\s+)\\?[\"']?(?:(?:bearer|basic)\s+)?[^\s\"',;&]+"
        ),
        r"\1\2…",
    ),
)
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {10: "\\n", 13: "\\r", 9: "\\t"}


def set_up_log(daemon: str, *, level: str, format: str, stream: TextIO | None = None) -> None:
    """Log to standard error from here on; ``format`` is "json", "text", or "auto" (text on a terminal).

    Exceptions that nothing caught are logged, too, in the same form.
    """
    stream = sys.stderr if stream is None else stream
    as_text = stream.isatty() if format == "auto" else format == "text"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(daemon) if as_text else JsonFormatter(daemon))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread


class _Formatter(logging.Formatter):
    def __init__(self, daemon: str) -> None:
        super().__init__()
        self._daemon = daemon


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, daemon, message; request and error where there are."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "daemon": self._daemon,
            "process": record.process,
            "message": _masked(record.getMessage()),
        }
        if request := request_of(record):
            entry["request"] = request
        if error := _error(record):
            entry["error"] = _masked(trace(error))
        return json_text.encode(entry).decode()


class TextFormatter(_Formatter):
    """A line for people; a fault's trace stands on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        request = f" [{request_of(record)}]" if request_of(record) else ""
        message = _masked(record.getMessage()).translate(_CONTROLS)
        line = f"{_time(record)} {self._daemon} {record.levelname}{request} {message}"
        error = _error(record)
        return line if error is None else f"{line}\n{_masked(trace(error)).rstrip()}"


def trace(error: BaseException) -> str:
    """Return where an error and its causes came from, and what they say, values left out."""
    parts = []
    for link in reversed(list(causes(error))):
        parts += [*traceback.format_tb(link.__traceback__), f"{type(link).__qualname__}: {words(link)}\n"]
    return "".join(parts)


def words(error: BaseException) -> str:
    """Return what an error says, if it is of a kind that never quotes events, keys or queries."""
    if isinstance(error, CubeError):
        return "(a request's own fault)" if isinstance(error, InvalidRequest) else error.message
    if isinstance(error, _SPOKEN) or type(error).__module__ == _SQLITE:
        return str(error)
    code = getattr(error, "code", None)
    return f"(code {code})" if isinstance(code, int) else "(its words are left out: they may quote data)"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then what led to it, and the members of groups; each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting.append(link.__cause__ or (None if link.__suppress_context__ else link.__context__))
        waiting += link.exceptions if isinstance(link, BaseExceptionGroup) else ()


def request_of(record: logging.LogRecord) -> str:
    """Return the id of the request that a record is about, as the record says or the context knows."""
    id: str = getattr(record, "request", "") or request_id.get()
    return id


def log_loop_fault(_loop: object, context: dict[str, Any]) -> None:
    """Log what the event loop cannot tell anybody else; its own handler would show whole values."""
    error = context.get("exception")
    summary = str(context.get("message", "a fault in the event loop")).partition("\n")[0]
    logging.getLogger(__name__).error("%s", summary, exc_info=error)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _masked(text: str) -> str:
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is not UTF-8


def _log_uncaught(kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("the process ends by a fault", exc_info=error)


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        name = arguments.thread.name if arguments.thread is not None else "?"
        logging.getLogger(__name__).critical("a fault in the thread %s", name, exc_info=arguments.exc_value)
