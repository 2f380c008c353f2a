"""Series as Prometheus answers them: labels that are text, values that are text, times in seconds.

A point's time is its bucket's **end**: the point at t has the events of [t - step, t), as Prometheus'
``increase(x[step])`` has there, so that it lies where panels of that lie, and never before its cause.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from cube.columns.values import Floats
from cube.expression.grouping import ARGUMENT, grouped_by, parts_of
from cube.expression.nodes import Grouping, MetricExpression
from cube.expression.traversal import walk
from cube.model.tier import GroupKey, Scalar, group_of_key, is_rest
from evaluator.engine.series import Series

Labels: TypeAlias = dict[str, str]

TRUNCATED: Final = "results truncated due to limit"
"""What Prometheus itself warns of."""

_OTHER = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)
_DIGIT = re.compile(r"[0-9]", re.ASCII)
_WHOLE: Final = 2**53


class Warned(NamedTuple):
    """Data that is told with warnings."""

    data: Any
    warnings: Sequence[str]


def label_of(text: str) -> str:
    """Return the label that stands for a field: ``user.id`` is user_id, ``["user-agent"]`` user_agent.

    No label begins with a digit, or with the two ``_`` of Prometheus' own.
    """
    label = _OTHER.sub("_", text.replace('["', ".").replace('"]', "").lstrip("."))
    return f"_{label}" if not label or _DIGIT.match(label) else re.sub("^_{2,}", "_", label)


def numbered(label: str, taken: Container[str]) -> str:
    """Return a label that is not taken: the one that is wanted, or that with a number from 2 behind it."""
    found, count = label, 1
    while found in taken:
        count += 1
        found = f"{label}_{count}"
    return found


def label_names(expression: MetricExpression) -> list[str]:
    """Return the label of each part of an expression's groups, those of its reduction of most parts.

    A quantile of several is one part more; the steps of a funnel and the periods of a retention are a group.
    """
    groupings = [node for node in walk(expression) if isinstance(node, Grouping)]
    known = {ARGUMENT, *(part for grouping in groupings for part in parts_of(grouping))}
    names: list[str] = []
    for part in grouped_by(expression) or ():
        label = label_of(part.partition(",")[0]) if part in known else "group"
        names.append(numbered(label, names))
    return names


def labels(key: GroupKey, names: Sequence[str]) -> Labels:
    """Return the labels of a group; of one that is the rest a further one that says so.

    1 and "1" are two groups and would be one label: what is no text has its kind beside it.
    """
    group = group_of_key(key)
    parts: tuple[Scalar, ...] = group if isinstance(group, tuple) else (group,)
    if is_rest(key):
        return {names[0] if names else "group": str(group), "group_kind": "rest"}
    named = dict(zip(names or ("group",), parts, strict=False))
    found = {name: label_value(value) for name, value in named.items()}
    kinds = {f"{name}_kind": _kind(value) for name, value in named.items() if not isinstance(value, str)}
    return found | kinds


def label_value(value: Scalar) -> str:
    """Write a group's value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(float(value))


def _kind(value: Scalar) -> str:
    return "boolean" if isinstance(value, bool) else "number"


def number_text(value: float) -> str:
    """Write a finite number: whole ones without a fraction."""
    return str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)


def seconds(time: int) -> int | float:
    """Write a time in milliseconds as seconds."""
    return time // 1000 if time % 1000 == 0 else time / 1000


def all_series(
    series: Series, names: Sequence[str], metric: Mapping[str, str]
) -> list[tuple[Labels, Floats]]:
    """Return each series with its labels, in the order of these."""
    if series.groups is None:
        return [(dict(metric), series.default)]
    found = [({**metric, **labels(key, names)}, values) for key, values in series.groups.items()]
    return sorted(found, key=lambda one: sorted(one[0].items()))


def matrix(found: Sequence[tuple[Labels, Floats]], times: Sequence[int]) -> dict[str, Any]:
    """Return the result of a range: of each series the points that have a value, and no series without."""
    shown = [seconds(time) for time in times]
    result = []
    for metric, values in found:
        points = [
            [time, number_text(value)]
            for time, value in zip(shown, values.tolist(), strict=True)
            if math.isfinite(value)
        ]
        if points:
            result.append({"metric": metric, "values": points})
    return {"resultType": "matrix", "result": result}


def vector(found: Sequence[tuple[Labels, Floats]], time: int) -> dict[str, Any]:
    """Return the result of a moment, of arrays with one value."""
    result = [
        {"metric": metric, "value": [seconds(time), number_text(values.tolist()[0])]}
        for metric, values in found
        if math.isfinite(values.tolist()[0])
    ]
    return {"resultType": "vector", "result": result}


def scalar(value: float, time: int) -> dict[str, Any]:
    """Return the result of an expression without events."""
    return {"resultType": "scalar", "result": [seconds(time), number_text(value)]}


def cut(found: list[Any], most: int | None) -> Warned:
    """Return as many as are asked for (None: all), and say so where there are more."""
    is_cut = most is not None and len(found) > most
    return Warned(found[:most], (TRUNCATED,) if is_cut else ())


def cut_series(made: dict[str, Any], told: Sequence[str], most: int | None) -> Warned:
    """Return a vector or a matrix of as many series as are asked for; ``told``: its other warnings."""
    kept = cut(made["result"], most)
    return Warned({**made, "result": kept.data}, (*told, *kept.warnings))
