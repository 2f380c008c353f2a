"""What the evaluator answers on WebSockets: metrics, events and types."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from cube.model import instant
from evaluator.api.response_writer import Pieces
from evaluator.api.rows import event_rows
from evaluator.api.service import Desks
from evaluator.api.session import Channel
from evaluator.scheduling.threads import aside


class MetricFeed:
    """Metrics: a message per bucket (and group); live without ``stop``."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    def is_endless(self, raw: Mapping[str, Any]) -> bool:
        """Tell whether the request is live."""
        return "stop" not in raw

    async def answer(self, raw: Mapping[str, Any], channel: Channel) -> None:
        """Send the rows of a request; with ``stop`` then a last message with the time ceil(stop)."""
        desk = self._desks.of(channel.caller)
        query = await desk.metric_query(raw, live=True)
        if query.live:
            async with aclosing(desk.live.rows(query)) as batches:
                async for batch in batches:
                    await channel.send_all(batch)
            return
        with desk.pieces() as pieces:
            await desk.write_metrics(query, pieces, channel.framed)
            await channel.send_pieces(pieces)
        await channel.send({"time": instant.format(query.tier.ceil(query.span.stop))})


class EventFeed:
    """Events: descending to an end, or a stream without ``stop``."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    def is_endless(self, raw: Mapping[str, Any]) -> bool:
        """Tell whether the request is a stream."""
        return "stop" not in raw

    async def answer(self, raw: Mapping[str, Any], channel: Channel) -> None:
        """Send the events of a request."""
        desk = self._desks.of(channel.caller)
        query = await desk.event_query(raw, stream=True)
        if query.stop is None:
            async with aclosing(desk.streams.follow(query)) as batches:
                async for batch in batches:
                    with Pieces(sys.maxsize, desk.answers) as pieces:  # what the stream holds is bounded
                        rows = map(channel.framed_event, event_rows(batch))
                        await aside(len(batch), pieces.add, rows)
                        await channel.send_pieces(pieces)
            return
        async with channel.answers:
            with desk.pieces() as pieces:
                await desk.write_events(query, query.stop, pieces, channel.framed_event)
                await channel.send_pieces(pieces)
        await channel.end()


class TypeFeed:
    """The names of all types, as often as it is asked for them."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    def is_endless(self, raw: Mapping[str, Any]) -> bool:
        """Tell that no request is endless."""
        return False

    async def answer(self, raw: Mapping[str, Any], channel: Channel) -> None:
        """Send the names as one array; with an id, as ``types`` beside it."""
        await channel.send_list("types", await self._desks.of(channel.caller).types())
