"""Hints beside an answer: asked for where one may be needed, and left out where they take too long."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cube.errors import AccessDenied, InvalidRequest, Overloaded, Unavailable
from cube.expression.nodes import Comparison, Not, Reduction
from cube.expression.traversal import types_read, walk
from cube.model.environment import Caller
from cube.model.tier import Span
from cube.web.access import KEY_PARAMETER
from evaluator.api.known import NO_DEFINITIONS, KnownEvents, ReadableEvents
from evaluator.catalog.hints import MOST_HINTS, FieldName, hints
from evaluator.catalog.kept_samples import KeptSamples
from evaluator.catalog.uses import Tree, uses

HEADER: Final = "Cube-Warnings"
"""Sentences about a question, as a JSON array in ASCII."""

MOST_FIELDS: Final = 10_000
"""So many fields are remembered to have been there."""

METRIC_PARAMETERS: Final = ("expression", "start", "stop", "step", "timezone", "week_start", "limit")
EVENT_PARAMETERS: Final = ("expression", "start", "stop", "limit", "after", "before", "ids")
"""What a question over HTTP may say; of anything else it is told that nothing heeds it."""

OF_SOCKETS: Final = ("id", "cancel")
METRIC_KEYS: Final = (*METRIC_PARAMETERS, *OF_SOCKETS)
EVENT_KEYS: Final = (*EVENT_PARAMETERS, "delay", "late", *OF_SOCKETS)
"""What a message of a WebSocket may say."""

SECONDS: Final = 1.0
"""An answer waits no longer for them."""

_NEGATIVE: Final = ("ne", "nin")


@dataclass(slots=True)
class Hints:
    """Finds what a question may get wrong about the events that there are.

    ``kept``: the samples that it looks at. A type or field that was there once is not looked for again,
    unless an answer says nothing.
    """

    kept: KeptSamples = field(default_factory=KeptSamples)
    _seen: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _fields: defaultdict[tuple[str, str], set[FieldName]] = field(default_factory=lambda: defaultdict(set))

    async def of(
        self, events: ReadableEvents, caller: Caller, tree: Tree, span: Span | None, *, is_silent: bool
    ) -> list[str]:
        """Return sentences about a question that is answered; ``is_silent``: with nothing, or zeros alone.

        Of one that is not silent only unknown types are told, and fields that it goes without as well
        (`_trusted_fields`), which costs nothing where all are known.
        Nothing where the store or the evaluator has no time for it: the answer is as good without.
        """
        types, seen = set(types_read(tree)), self._seen[caller.environment.name]
        fields = self._fields_seen(caller)
        names = None if is_silent else [name for name in _trusted_fields(tree) if name not in fields]
        if not names and not is_silent and types <= seen:
            return []
        known = KnownEvents(events, caller, self.kept, NO_DEFINITIONS)
        try:
            async with asyncio.timeout(SECONDS):
                told = await hints(tree, known, span, names=names)
                seen |= types.intersection(await known.types())
                for type, name in names or ():
                    if type in seen and name in (await known.sampled(type))[0]:
                        fields.add((type, name))
                return told
        except (TimeoutError, InvalidRequest, AccessDenied, Overloaded, Unavailable):
            return []

    def _fields_seen(self, caller: Caller) -> set[FieldName]:
        """Return the fields that were there for whoever sees the same events."""
        fields = self._fields[caller.environment.name, "" if caller.key is None else caller.key.filter]
        if len(fields) > MOST_FIELDS:
            fields.clear()
        return fields


def unknown_parameters(given: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return a sentence about each parameter that is not known.

    A key may be one, and what begins with _ means nothing: browsers are kept from answering themselves by it.
    """
    unknown = [name for name in given if name not in known and name != KEY_PARAMETER and name[:1] != "_"]
    return [f"There is no parameter {name[:80]}; there are {', '.join(known)}." for name in unknown]


def warning_headers(told: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the header that tells the first `MOST_HINTS` of some sentences; none where there are none."""
    return ((HEADER, json.dumps(list(told[:MOST_HINTS]))),) if told else ()


def _trusted_fields(tree: Tree) -> list[FieldName]:
    """Return the fields whose names an answer with values says nothing about, each once.

    Those of an expression in which events pass for want of a field, or that adds something else up beside it.
    """
    nodes = list(walk(tree))
    is_negative = any(
        isinstance(node, Not) or (isinstance(node, Comparison) and node.operator in _NEGATIVE)
        for node in nodes
    )
    if not is_negative and sum(isinstance(node, Reduction) for node in nodes) < 2:
        return []
    return list(dict.fromkeys((use.type, use.names) for use in uses(tree)))
