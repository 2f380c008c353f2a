"""Metrics as Prometheus scrapes them: its text format, the newest complete bucket of each expression.

Without times: what has its own time would be answered for five minutes after it has left the page.
"""

from __future__ import annotations

import math
import re
from typing import Final

from cube.columns.values import Floats
from cube.errors import InvalidQuery, shown
from cube.expression import canonical_text
from evaluator.api.service import QueryService
from evaluator.prometheus import answers
from evaluator.prometheus.parameters import Parameters, length
from evaluator.prometheus.questions import asked

EXPOSITION_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MINUTE: Final = 60_000

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_TOLD = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


async def exposition(service: QueryService, parameters: Parameters) -> str:
    """Return the samples of all expressions. Raises `InvalidQuery` for a name that is none, or used twice."""
    expressions, names = parameters.get("expression", ()), list(parameters.get("name", ()))
    if not expressions:
        raise InvalidQuery("The parameter expression is missing.", field="expression")
    saved = (await service.definitions()).texts if len(names) < len(expressions) else {}
    for number, expression in enumerate(expressions[len(names) :], len(names) + 1):
        is_name = expression in saved and expression not in names
        names.append(expression if is_name else f"cube_metric_{number}")
    step = length(parameters, "step", MINUTE)
    stop = service.context.clock() // step * step if step > 0 else 0
    parts = []
    for name, expression in zip(names, expressions, strict=False):
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise InvalidQuery(
                f"Got the name {shown(name)}; accepted are different names of letters, digits, _ and :.",
                field="name",
            )
        if step <= 0:
            raise InvalidQuery("Got a step of no length; accepted are whole seconds.", field="step")
        points = await asked(service, parameters, range(stop, stop + 1, step), expression)
        series = await service.evaluate(points.query)
        labels = answers.label_names(points.query.expression)
        told = canonical_text(points.query.expression).translate(_TOLD)
        parts += [
            f"# HELP {name} {told}\n# TYPE {name} gauge\n",
            *_samples(name, answers.all_series(series, labels, {})),
        ]
    return "".join(parts)


def _samples(name: str, found: list[tuple[answers.Labels, Floats]]) -> list[str]:
    lines = []
    for labels, values in found:
        (value,) = values.tolist()
        if math.isfinite(value):
            pairs = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in labels.items())
            lines.append(
                f"{name}{{{pairs}}} {answers.number_text(value)}\n"
                if pairs
                else f"{name} {answers.number_text(value)}\n"
            )
    return lines
