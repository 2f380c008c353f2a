"""rsyslog, as Debian has it, writes to `_bulk` as to an Elasticsearch."""

from __future__ import annotations

import time
from pathlib import Path

from tests.foreign_client import WRITE_KEY, Running
from tests.tools import rsyslog, running

SECONDS = 60.0
SETTINGS = """
global(workDirectory="{directory}")
module(load="imfile")
module(load="omelasticsearch")
input(type="imfile" File="{file}" Tag="shop" Severity="warning" ruleset="ship")
ruleset(name="ship") {{
  action(type="omelasticsearch" server="{server}" searchIndex="shop-2026.11.29" searchType=""
         bulkmode="on" maxbytes="1m" uid="{key}" pwd="any" queue.type="linkedlist")
}}
"""


def test_what_rsyslog_ships_is_measured(keyed: Running, tmp_path: Path) -> None:
    file, settings = tmp_path / "shop.log", tmp_path / "rsyslog.conf"
    file.write_text("".join(f'bought book {number} "é"\n' for number in range(200)))
    settings.write_text(SETTINGS.format(directory=tmp_path, file=file, server=keyed.collector, key=WRITE_KEY))
    with running(rsyslog("omelasticsearch"), "-n", "-iNONE", "-f", str(settings)):
        shipped = _shipped(keyed, 200)
    assert {one["message"] for one in shipped} == set(file.read_text().splitlines())
    assert {one["priority"] for one in shipped} == {"warning"}
    assert keyed.rejected("elasticsearch") == []


def _shipped(keyed: Running, count: int) -> list[dict[str, str]]:
    """Return the events once so many are there; fewer where they do not come."""
    until = time.monotonic() + SECONDS
    while True:
        found = [event.data for event in keyed.evaluator.events("shop(*)", limit=1000)]
        if len(found) >= count or time.monotonic() > until:
            return found
        time.sleep(0.1)
