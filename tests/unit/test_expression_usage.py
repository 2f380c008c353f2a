"""What an error says of an expression that is written as in another language."""

from __future__ import annotations

import pytest

from cube.errors import InvalidExpression
from cube.expression import parse_metric


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("avg(request(ms))", "the average is written as in mean(request(ms))"),
        ("shift(avg(a),1w)", "the average is written as in mean("),
        ("p95(request(ms))", "a quantile is written as in quantile(0.95, request(ms))"),
        ("uniq(a(user))", "different values are counted as in distinct("),
        ("rate(request)", "per is written as in per(second, sum(request))"),
        ("topk(5,sum(a))", "a ranking chooses among groups, as in"),
        ("sum(a) by path", "groups stand behind a reduction, as in"),
        ("sum(a) offset 1w", "shift is written as in sum(request) / shift("),
        ("sum(a where b)", "events are compared by a filter, as in sum(request.ge(status, 500))"),
        ("sum(a.path = 5)", "events are compared by a filter, as in"),
        ("sum(a.status>=500)", "events are compared by a filter, as in"),
        ("sum(a(if(status > 400,1,0)))", "events are compared by a filter, as in"),
        ("sum(a) > 5", "events are compared by a filter, as in"),
    ],
)
def test_what_another_language_has_is_told_as_it_is_written_here(text: str, told: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        parse_metric(text)
    assert f"; {told}" in refused.value.message
