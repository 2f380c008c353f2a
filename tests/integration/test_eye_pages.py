"""Pages of The Eye against their plain definition: a sorted list of what was sent."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.httputil import HTTPHeaders

from collector.protocols.eye import EYE, search
from collector.protocols.shared.dialect import DialectState, RequestContext
from collector.protocols.shared.reading import EventSearch, SearchLimits
from cube.model.environment import Caller, Environment
from cube.model.event import Event
from cube.store.sqlite import open_store
from cube.web import Request

CONTEXT = RequestContext(0, "test", DialectState())
CALLER = Caller(Environment("test", "test"))
QUERIES = 150


def stamp(microseconds: int) -> str:
    return f"2021-01-01T00:00:{microseconds // 1_000_000:02}.{microseconds % 1_000_000:06}Z"


def sample(chance: random.Random) -> dict[str, Any]:
    """An event in one of few milliseconds, so that many share theirs."""
    return {
        "session_id": chance.choice("st"),
        "category": chance.choice("cd"),
        "name": chance.choice(["n", "a name"]),
        "timestamp": stamp(chance.randrange(1, 20_000)),
        "data": {"n": chance.random()},
    }


def parsed(sent: dict[str, Any]) -> Event:
    request = Request("POST", "/api/event/", HTTPHeaders(), "")
    request.body = json.dumps(sent).encode()
    (draft,) = EYE.endpoints[0].translate["POST"](request, CONTEXT).drafts
    raw = {"type": draft.name, "time": draft.time, "id": draft.id, "data": draft.data}
    return Event.parse(raw, now=0, unit_known=True)


def asked(chance: random.Random) -> dict[str, Any]:
    every = {
        "session_id": "s",
        "category": "d",
        "name": "a name",
        chance.choice(["timestamp_start", "timestamp_after"]): stamp(chance.randrange(20_000)),
        chance.choice(["timestamp_end", "timestamp_before"]): stamp(chance.randrange(20_000)),
    }
    chosen = {name: value for name, value in every.items() if chance.random() < 0.4}
    return {**chosen, "limit": chance.randrange(1, 60), "offset": chance.choice([0, 0, 1, 7, 50, 400])}


def passes(event: dict[str, Any], query: dict[str, Any]) -> bool:
    low = [query[name] for name in ("timestamp_start", "timestamp_after") if name in query]
    high = [query[name] for name in ("timestamp_end", "timestamp_before") if name in query]
    return (
        all(event[name] == query[name] for name in ("session_id", "category", "name") if name in query)
        and all(event["timestamp"] >= each for each in low)
        and all(event["timestamp"] <= each for each in high)
    )


async def test_every_page_is_a_slice_of_the_sorted_list(tmp_path: Path) -> None:
    chance = random.Random(20_210_101)
    sent = {event["timestamp"]: event for event in (sample(chance) for _ in range(300))}
    newest_first = [sent[at] for at in sorted(sent, reverse=True)]
    store = await open_store(tmp_path, "test")
    try:
        await store.events.save("eye", [parsed(event) for event in sent.values()])
        reading = EventSearch(SearchLimits(events=40))
        for _ in range(QUERIES):
            query = asked(chance)
            request = Request("GET", f"/api/event/?{urlencode(query)}", HTTPHeaders(), "")
            reply = await reading.answer(search(request, CONTEXT), store.events, CALLER)
            page = json.loads(reply.body)
            wanted = [event for event in newest_first if passes(event, query)]
            first, last = query["offset"], query["offset"] + min(query["limit"], 40)
            assert page["results"] == wanted[first:last], query
            assert page["count"] == len(wanted), query
            assert (page["next"] is not None) == (len(wanted) > last), query
            assert (page["previous"] is not None) == (first > 0), query
    finally:
        await store.close()
