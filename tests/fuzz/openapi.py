"""Requests that schemathesis makes of ``/openapi.json``: what it allows, and what it does not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.daemon import Daemon
from tests.fuzz import claims

SECONDS = 20.0
WORTH = 8
"""An operation is called so often at least: to make its first request takes schemathesis about a second."""
_CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


def fuzz_openapi(daemons: Sequence[Daemon], count: int, seed: int) -> int:
    """Send about so many requests over the described operations of the daemons; return how many.

    All of them, where there are enough requests for each; else some, another choice for each seed.
    """
    operations = [
        (running, found.ok())
        for running in daemons
        for found in schemathesis.openapi.from_url(f"{running.http}/openapi.json").get_all_operations()
    ]
    wanted = max(1, count // WORTH)
    if wanted < len(operations):
        operations = random.Random(seed).sample(operations, wanted)
    each = max(2, count // len(operations))
    return sum(_fuzz(running, operation, each, seed) for running, operation in operations)


def _fuzz(running: Daemon, operation: Any, count: int, seed: int) -> int:
    sent = 0
    with requests.Session() as session:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=-(-count // 2),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(case=strategy)
            def exchange(case: Any) -> None:
                nonlocal sent
                sent += 1
                response = case.call(base_url=running.http, session=session, timeout=SECONDS)
                claims.check_reply(response.status_code, response.content)
                if response.status_code != 503:
                    case.validate_response(response, checks=_CHECKS)

            with suppress(Unsatisfiable):  # an operation without parameters can be called in one way only
                exchange()
    return sent
