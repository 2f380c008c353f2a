"""An event for each line of an application's log."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Final

from cube.client.background import BackgroundEmitter

LONGEST: Final = 32_768
"""So many characters of a message, and of a traceback, are kept."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_OWN = __name__.rpartition(".")[0]


class EventHandler(logging.Handler):
    """Emits each record as an event: ``logging.getLogger().addHandler(EventHandler(emitter))``.

    The event has ``level``, ``logger``, ``message``, ``file``, ``line``, ``function``, ``exception`` (the
    traceback) where there is one, and under ``extra`` what the call said beside these; what is not JSON there
    as its text. The client's own records are left out: to tell of one that cannot be sent would make another.
    """

    def __init__(self, emitter: BackgroundEmitter, *, type: str = "log", level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._emitter = emitter
        self._type = type

    def emit(self, record: logging.LogRecord) -> None:
        """Emit one record; what is wrong with it is told as `logging.Handler.handleError` does."""
        if record.name == _OWN or record.name.startswith(f"{_OWN}."):
            return
        try:
            self._emitter.emit(self._type, self._data(record), time=int(record.created * 1_000))
        except Exception:  # as all handlers of the standard library do
            self.handleError(record)

    def flush(self) -> None:
        """Do nothing: `logging.shutdown` calls it, and the emitter has an end of its own."""

    def _data(self, record: logging.LogRecord) -> dict[str, Any]:
        data: dict[str, Any] = {
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
            "file": record.pathname,
            "line": record.lineno,
            "function": record.funcName,
        }
        if record.exc_info and record.exc_info[0] is not None:
            text = logging.Formatter().formatException(record.exc_info)
            data["exception"] = text[-LONGEST:]
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return {**data, "extra": _plain(extra)} if extra else data


def _plain(value: Any, depth: int = 0) -> Any:
    """Return what JSON has of a value, and of all else its text."""
    match value:
        case None | bool() | str():
            return value
        case int() if -(2**63) <= value < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping() if depth < 8:
            return {str(name): _plain(item, depth + 1) for name, item in value.items()}
        case list() | tuple() if depth < 8:
            return [_plain(item, depth + 1) for item in value]
        case _:
            return str(value)
