"""What `/openapi.json` tells of a reply is what is sent: every operation of both daemons is asked once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.daemon import Daemon, daemon
from tests.web_client import Answer, ask

METHODS = ("get", "head", "post", "put", "delete", "patch")


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, ...]]:
    directory = tmp_path_factory.mktemp("described")
    store = f"sqlite:{directory}"
    with (
        daemon("collector", store, directory) as collector,
        daemon("evaluator", store, directory) as evaluator,
    ):
        yield collector, evaluator


def asked(running: Daemon, method: str, path: str, body: bytes | None = None) -> Answer:
    return asyncio.run(ask(running.port, method, path, body))


def told(description: Mapping[str, Any], status: int) -> set[str]:
    """Return the media types that are told of a reply; none where nothing is told of its body."""
    replies = description["responses"]
    assert str(status) in replies or "default" in replies, f"the status {status} is not told of"
    return set((replies.get(str(status)) or replies["default"]).get("content", {}))


def test_every_reply_has_a_media_type_that_is_told_of(daemons: tuple[Daemon, ...]) -> None:
    wrong = []
    for running in daemons:
        for path, item in asked(running, "GET", "/openapi.json").json["paths"].items():
            for method in set(METHODS) & item.keys():
                body = json.dumps({}).encode() if method in ("post", "put", "patch") else None
                answer = asked(running, method.upper(), path.replace("{", "").replace("}", ""), body)
                media = told(item[method], answer.status)
                got = answer.headers.get("content-type", "")
                if answer.body and not media & {got, "*/*"}:
                    wrong.append((method, path, answer.status, got, sorted(media)))
    assert not wrong
