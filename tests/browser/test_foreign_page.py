"""A page of a stranger in a real Chromium, beside keyless daemons: it neither reads nor writes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Page, chromium
from tests.browser.pages import pages
from tests.daemon import Daemon, daemon
from tests.web_client import ask

STRANGER = "evil.example"
RULES = f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1"
"""A name of the stranger's that leads to this machine: a page's, and once it is rebound a daemon's, too."""

TRY = """
(async () => {
  const seen = {};
  const told = async (name, work) => {
    try { seen[name] = await work() } catch (error) { seen[name] = 'refused' }
  };
  const event = {method: 'POST', body: JSON.stringify({type: TYPE})};
  await told('read', async () => (await fetch(`${EVALUATOR}/1.0/types`)).status);
  await told('write', async () => (await fetch(`${COLLECTOR}/1.0/event`, event)).status);
  await told('blind', async () => (await fetch(`${COLLECTOR}/1.0/event`, {...event, mode: 'no-cors'})).type);
  await told('image', () => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve('shown');
    image.onerror = reject;
    image.src = `${COLLECTOR}/i?e=se&se_ca=${TYPE}&se_ac=image&p=web`;
  }));
  await told('socket', () => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${COLLECTOR.replace('http', 'ws')}/1.0/event/put`);
    socket.onopen = () => { socket.close(); resolve('open') };
    socket.onerror = reject;
  }));
  return seen;
})()
"""


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    directory = tmp_path_factory.mktemp("foreign-page")
    store, struct = f"sqlite:{directory}", ("--dialects-snowplow-struct-types", "true")
    with (
        daemon("collector", store, directory, *struct) as collector,
        daemon("evaluator", store, directory) as evaluator,
    ):
        yield collector, evaluator


async def tried(page: Page, daemons: tuple[Daemon, Daemon], type: str) -> dict[str, object]:
    """Return what a page sees of all that it tries."""
    values = {"COLLECTOR": daemons[0].http, "EVALUATOR": daemons[1].http, "TYPE": type}
    constants = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
    found: dict[str, object] = await page.evaluate(f"(() => {{ {constants} return {TRY.strip()} }})()")
    return found


async def types(evaluator: Daemon) -> list[str]:
    found: list[str] = (await ask(evaluator.port, "GET", "/1.0/types")).json
    return found


async def test_a_foreign_page_neither_reads_nor_writes_and_one_of_this_machine_does_both(
    daemons: tuple[Daemon, Daemon],
) -> None:
    async with pages({"/": "<!doctype html><title>a page</title>"}) as origin, chromium(RULES) as browser:
        foreign = await browser.open(f"{origin.replace('127.0.0.1', STRANGER)}/")
        seen = await tried(foreign, daemons, "foreign")
        # "opaque": a page that asks for it is told nothing of what became of its request.
        assert seen == {
            "read": "refused", "write": "refused", "blind": "opaque", "image": "refused", "socket": "refused",
        }  # fmt: skip
        assert await types(daemons[1]) == []
        for host in ("127.0.0.1", "localhost"):
            near = await browser.open(f"{origin.replace('127.0.0.1', host)}/")
            seen = await tried(near, daemons, "near")
            assert seen == {"read": 200, "write": 200, "blind": "opaque", "image": "shown", "socket": "open"}
        assert await types(daemons[1]) == ["near", "near_image"]


async def test_a_name_that_was_rebound_to_this_machine_reads_nothing(daemons: tuple[Daemon, Daemon]) -> None:
    evaluator = daemons[1].http
    async with chromium(RULES) as browser:
        page = await browser.open(f"{evaluator.replace('127.0.0.1', STRANGER)}/1.0/types")
        assert "setting allowed_hosts" in await page.evaluate("document.body.innerText")
        read = "(async () => { const answer = await fetch('/1.0/types'); return answer.status })()"
        assert await page.evaluate(read) == 403
        near = await browser.open(f"{evaluator}/1.0/types")
        assert await near.evaluate(read) == 200
