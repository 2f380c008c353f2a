"""Lines of the log: their form, and what is left out of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cube.errors import InvalidEvent, Unavailable
from cube.process.logs import (
    JsonFormatter,
    TextFormatter,
    log_loop_fault,
    request_id,
    set_up_log,
    trace,
    words,
)


def record(message: str, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("cube.test", logging.INFO, "a.py", 1, message, (), exc_info)
    made.__dict__.update(extra)
    return made


def entry(message: str, error: BaseException | None = None, **extra: object) -> dict[str, Any]:
    line = JsonFormatter("collector").format(record(message, error, **extra))
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line)
    return read


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("GET /1.0/event?api_key=k&a=1 failed", "GET /1.0/event?… failed"),
        ("to mongodb://user:word@host:1/db", "to mongodb://…@host:1/db"),
        ("Authorization: Bearer k, and more", "Authorization: …, and more"),
        ("X-Api-Key: k", "X-Api-Key: …"),
        ('{"api_key": "k"}', '{"api_key": …"}'),
        ("apiKey=k&b", "apiKey=…&b"),
        ("what is it? nothing = 1", "what is it? nothing = 1"),
        ("half a pair \ud800", "half a pair \\ud800"),
        ("listening on http://127.0.0.1:1080", "listening on http://127.0.0.1:1080"),
    ],
)
def test_what_looks_like_a_query_or_a_credential_is_masked(text: str, logged: str) -> None:
    assert entry(text)["message"] == logged


def test_a_line_has_its_time_level_logger_daemon_and_process() -> None:
    line = entry("hello")
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["daemon"]) == ("info", "cube.test", "collector")
    assert isinstance(line["process"], int)
    assert "request" not in line
    assert "error" not in line


def test_the_request_is_that_of_the_context_or_of_the_record() -> None:
    token = request_id.set("one")
    try:
        assert entry("hello")["request"] == "one"
        assert entry("hello", request="two")["request"] == "two"
        assert " [one] hello" in TextFormatter("collector").format(record("hello"))
    finally:
        request_id.reset(token)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (TypeError("an int is not a str"), "an int is not a str"),
        (Unavailable("The store is away."), "The store is away."),
        (InvalidEvent("Got the type 'secret'."), "(a request's own fault)"),
        (KeyError("secret"), "(its words are left out: they may quote data)"),
        (ValueError("invalid literal: 'secret'"), "(its words are left out: they may quote data)"),
    ],
)
def test_an_error_speaks_only_where_it_cannot_quote_data(error: Exception, said: str) -> None:
    assert words(error) == said


def test_a_trace_shows_where_errors_and_their_causes_and_members_came_from() -> None:
    group = ExceptionGroup("secret", [raised(KeyError("secret"))])
    text = trace(raised(RuntimeError("it broke"), raised(ValueError("secret"), group)))
    assert "secret'" not in text.replace('raised(KeyError("secret"))', "")
    for name in ("KeyError: (", "ExceptionGroup: (", "ValueError: (", "RuntimeError: it broke"):
        assert name in text
    assert text.count("in raised") == 3


def test_text_lines_cannot_be_forged_or_control_the_terminal() -> None:
    line = TextFormatter("collector").format(record("a\nb\x1b[31m"))
    assert line.endswith("INFO a\\nb\\x1b[31m")


@pytest.fixture
def _loggers() -> Iterator[None]:
    """Put the loggers back as the tests need them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("cube", "collector", "evaluator")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)


@pytest.mark.usefixtures("_loggers")
def test_drivers_are_heard_from_warnings_on_whatever_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("threading.excepthook", None)
    stream = io.StringIO()
    set_up_log("collector", level="debug", format="auto", stream=stream)
    for name in ("pymongo.command", "tornado.general", "asyncio", "cube.test"):
        logging.getLogger(name).debug("a command")
        logging.getLogger(name).info("a command")
    logging.getLogger("pymongo.topology").warning("the server is away")
    log_loop_fault(None, {"message": "a task\nfuture: <secret>", "exception": KeyError("secret")})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["logger"] for line in lines] == ["cube.test"] * 2 + ["pymongo.topology", "cube.process.logs"]
    assert lines[-1]["message"] == "a task"
    assert "secret" not in lines[-1]["error"]
