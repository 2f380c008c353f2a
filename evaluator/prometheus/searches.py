"""What there is to ask for: labels, values and series of types and of saved names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cube.errors import InvalidQuery
from cube.web import Request
from evaluator.api.service import QueryService
from evaluator.prometheus.answers import Warned, cut
from evaluator.prometheus.lookups import Lookups
from evaluator.prometheus.parameters import Parameters, first, limit
from evaluator.prometheus.saved_series import saved_series
from evaluator.prometheus.selectors import NAME, Selector, whole_selector
from evaluator.query.limits import LimitExceeded

MOST_SERIES: Final = 10_000
"""So many series of a type are told of."""


async def labels(service: QueryService, parameters: Parameters, _: Request) -> Warned:
    """Answer with the labels of the types that match, and of saved names that are named."""
    lookups, found, selectors = Lookups(service), {NAME}, _selectors(parameters)
    for type in await lookups.types(selectors):
        found |= (await lookups.labels(type)).keys()
    saved = await saved_series(service, parameters, selectors, [*await lookups.saved()])
    found |= {label for one in saved for label in one}
    return cut(sorted(found), limit(parameters))


async def values(service: QueryService, parameters: Parameters, request: Request) -> Warned:
    """Answer with the values of a label."""
    lookups, name = Lookups(service), request.captures["name"]
    selectors = _selectors(parameters)
    types = await lookups.types(selectors)
    if name == NAME:
        return cut(sorted([*types, *(await lookups.saved_names(selectors))]), limit(parameters))
    found = await lookups.values(types, name)
    saved = await saved_series(service, parameters, selectors, [*await lookups.saved()])
    found |= {one[name] for one in saved if name in one}
    return cut(sorted(found), limit(parameters))


async def series(service: QueryService, parameters: Parameters, _: Request) -> Warned:
    """Answer with the series that match: one for each type, and each value of a label that is named.

    Those of a saved name that is named are its own; of a pattern that it matches there is one.
    """
    selectors = _selectors(parameters)
    if not selectors:
        raise InvalidQuery("no match[] parameter provided", field="match[]")
    lookups, found = Lookups(service), list[Mapping[str, str]]()
    for selector in selectors:
        named = [matcher.label for matcher in selector.matchers if matcher.label != NAME]
        for type in selector.names(await service.types()):
            found += await _series(lookups, type, selector, named)
        found += await saved_series(service, parameters, (selector,), [*await lookups.saved()])
        if not selector.exact_name:
            found += [{NAME: name} for name in await lookups.saved_names((selector,))]
    return cut(found, limit(parameters))


async def metadata(service: QueryService, parameters: Parameters, _: Request) -> dict[str, Any]:
    """Answer with what each type is."""
    wanted, most = first(parameters, "metric"), limit(parameters)
    helps = dict.fromkeys(await service.types(), "events of this type, counted")
    helps |= await Lookups(service).saved()
    names = sorted(name for name in helps if wanted in ("", name))[:most]
    return {name: [{"type": "gauge", "help": helps[name], "unit": ""}] for name in names}


async def _series(
    lookups: Lookups, type: str, selector: Selector, named: list[str]
) -> list[Mapping[str, str]]:
    found: list[Mapping[str, str]] = [{NAME: type}]
    for label in dict.fromkeys(named):
        conditions = [matcher for matcher in selector.matchers if matcher.label == label]
        values = [
            value
            for value in sorted(await lookups.values((type,), label))
            if all(condition.passes(value) for condition in conditions)
        ]
        if len(found) * len(values) > MOST_SERIES:
            raise LimitExceeded(
                f"The labels {', '.join(dict.fromkeys(named))[:200]} have over {MOST_SERIES} combinations"
                " of values, which is the limit: name fewer labels, or their values.",
                reason="groups",
            )
        found = [{**one, label: value} for one in found for value in values]
    return found


def _selectors(parameters: Parameters) -> list[Selector]:
    selectors = []
    for text in parameters.get("match[]", ()):
        selector = whole_selector(text)
        if selector is None:
            raise InvalidQuery(
                f'invalid parameter "match[]": Got {text[:200]}; accepted is a selector such as'
                ' request{host="a"}.',
                field="match[]",
            )
        selectors.append(selector)
    return selectors
