"""Asks with PyPI's client of Prometheus' API. Prints what it made of the answers, as JSON.

python ask_prometheus.py URL START END
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from prometheus_api_client import PrometheusApiClientException, PrometheusConnect


def main(url: str, start: str, end: str) -> None:
    client = PrometheusConnect(url)
    since, until = (datetime.fromtimestamp(int(seconds), UTC) for seconds in (start, end))
    grouped = client.custom_query_range("sum(request(ms)).group(host)", since, until, "60")
    answers: dict[str, Any] = {
        "connected": client.check_prometheus_connection(),
        "metrics": client.all_metrics(),
        "labels": client.get_label_values("host"),
        "range": [[series["metric"], [value for _, value in series["values"]]] for series in grouped],
    }
    selected = client.get_metric_range_data("request", {"host": "a"}, since, until)
    answers["selected"] = [series["metric"] for series in selected]
    try:
        client.custom_query("sum(")
    except PrometheusApiClientException as error:
        answers["error"] = str(error)
    print(json.dumps(answers))


main(*sys.argv[1:])
