"""Events as they come, of one or more expressions over one WebSocket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from cube.client.sockets import messages
from cube.model import instant
from cube.model.event import ABSENT


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event of a stream; ``type``: of its expression. ``data``: `ABSENT` where none was asked for.

    ``place``: which of the expressions it is of, from 0.
    """

    type: str
    time: int
    id: str | int | float | None
    data: Any
    place: int = 0


async def streamed(
    url: str, expressions: Sequence[str], requests: Sequence[Mapping[str, Any]], *, key: str | None = None
) -> AsyncGenerator[StreamedEvent, None]:
    """Yield the events of expressions without end.

    ``url``: of the evaluator, ``requests``: start, limit, … of each. Raises as `messages` does.
    """
    asked = [
        {**request, "id": place, "expression": text}
        for place, (text, request) in enumerate(zip(expressions, requests, strict=True))
    ]
    types = [type_of(text) for text in expressions]
    socket = url.replace("http", "ws", 1).rstrip("/") + "/1.0/event/get"
    async with aclosing(messages(socket, asked, key=key)) as answers:
        async for answer in answers:
            if "time" in answer:
                yield StreamedEvent(
                    types[answer["id"]],
                    instant.parse(answer["time"]),
                    answer.get("event"),
                    answer.get("data", ABSENT),
                    answer["id"],
                )


def type_of(expression: str) -> str:
    """Return the type of an event expression, the word that it begins with."""
    text = expression.strip()
    end = next((place for place, each in enumerate(text) if not (each.isalnum() or each == "_")), len(text))
    return text[:end]
