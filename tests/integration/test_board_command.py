"""`cube board`: boards as files, and links for others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cube.cli.main import main
from cube.cli.output import show
from cube.columns.board_types import types_of
from cube.model.board import Board
from cube.store.record_ports import NO_REVISION, StoredBoard
from cube.store.sqlite import open_store
from tests.daemon import Daemon, daemon
from tests.web_client import ask

VARIABLE = {"name": "host", "type": "request", "field": "host"}
CHART = {"expressions": ["sum(request.eq(host, $host)) / sum(visit)", "sum("]}
BOARD = {"version": 1, "title": "Web", "charts": [CHART], "variables": [VARIABLE]}


@pytest.fixture
def evaluator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    store = f"sqlite:{tmp_path / 'data'}"
    monkeypatch.delenv("CUBE_CONFIG", raising=False)
    monkeypatch.setenv("CUBE_STORE", store)
    monkeypatch.setenv("CUBE_DATABASE", "cube_development")
    with daemon("evaluator", store, tmp_path, database="cube_development") as running:
        monkeypatch.setenv("CUBE_EVALUATOR", running.http)
        yield running


def cube(*words: str, stdin: Any = None) -> Result:
    given = None if stdin is None else json.dumps(stdin)
    return CliRunner().invoke(main, words, input=given)


def test_a_board_is_a_file_and_a_link(evaluator: Daemon) -> None:
    check_files()
    check_links(evaluator)


def check_files() -> None:
    saved = cube("board", "put", "web", "-", stdin=BOARD)
    assert saved.exit_code == 0, saved.output
    revision = saved.output.rpartition(" ")[2].strip(".\n")
    assert json.loads(cube("board", "get", "web").output) == BOARD
    assert json.loads(cube("board", "list").output)["revision"] == int(revision)

    again = cube("board", "put", "web", "-", stdin=BOARD)
    assert (again.exit_code, f"is at revision {revision} now" in again.output) == (2, True)
    changed = cube("board", "put", "web", "-", "--revision", revision, stdin=BOARD | {"title": "New"})
    assert (changed.exit_code, json.loads(cube("board", "get", "web").output)["title"]) == (0, "New")
    assert cube("board", "delete", "web", "--revision", revision).exit_code == 2
    assert cube("board", "delete", "web").exit_code == 2
    assert cube("board", "delete", "web", "--force").output == "The board web is deleted.\n"
    assert (cube("board", "list").output, cube("board", "get", "web").exit_code) == ("", 2)
    assert cube("board", "get", "../types").exit_code == 2


def test_the_doctor_tells_what_is_not_well_and_what_to_do(evaluator: Daemon) -> None:
    absent = ("--collector", "http://127.0.0.1:1")
    told = cube("doctor", *absent)
    found = {each["about"]: each for each in map(json.loads, told.stdout.splitlines())}
    levels = {about: each["level"] for about, each in found.items() if about != "disk"}
    assert levels == {
        "versions": "ok", "store": "ok", "keys": "ok", "collector": "fault", "evaluator": "ok", "clock": "ok",
        "events": "warning",
    }  # fmt: skip
    assert found["collector"]["found"].startswith("Nothing answers at http://127.0.0.1:1")
    assert found["collector"]["remedy"].startswith("`cube serve` starts both daemons")
    assert (found["events"]["found"], told.exit_code) == ("there are none yet", 1)
    wrong = cube("doctor", "--collector", evaluator.http, "--json").stdout
    assert f"{evaluator.http} is not a Cube collector, but Cube evaluator" in wrong
    assert "has no database cube_development yet" in cube("doctor", *absent, "--store", "sqlite:/none").stdout


def test_a_name_is_given_to_an_expression(evaluator: Daemon) -> None:
    assert "Got no =" in cube("define", "failed").output
    saved = cube("define", "failed", "=", "sum(request.ge(status, 500))")
    assert (saved.exit_code, saved.output[:28]) == (0, "failed is defined at revisio"), saved.output
    revision = saved.output.rpartition(" ")[2].strip(".\n")
    listed = json.loads(cube("define").output)
    assert (listed["name"], listed["expression"]) == ("failed", "sum(request.ge(status, 500))")
    assert cube("define", "failed=sum(request)").exit_code == 2
    assert cube("define", "failed=failed + 1", "--revision", revision).exit_code == 2
    assert cube("define", "failed=sum(request)", "--revision", revision).exit_code == 0
    assert cube("metric", "failed / 2").exit_code == 0
    board = BOARD | {"charts": [{"expressions": ["failed / sum(visit)"]}], "variables": []}
    assert cube("board", "put", "named", "-", stdin=board).exit_code == 0
    untold = cube("define", "--delete", "failed")
    assert (untold.exit_code, "Got no revision beside --delete failed" in untold.output) == (2, True)
    assert cube("define", "--delete", "other", "--force").exit_code == 2
    cube("keys", "add", "team")
    assert "may read request, visit" in cube("board", "link", "named").stderr


def check_links(evaluator: Daemon) -> None:
    """A link has a key that reads the types of the board, and changes nothing."""
    cube("board", "put", "web", "-", stdin=BOARD | {"charts": [{"expressions": ["sum(request)"]}]})
    open_link = cube("board", "link", "web")
    assert open_link.stdout == f"{evaluator.http}/?view=board&board=web\n"
    assert "There are no keys" in open_link.stderr
    assert cube("board", "link", "web", "--type", "request").exit_code == 2

    team = cube("keys", "add", "team").output.strip()
    made = cube("board", "link", "web")
    link, secret = made.stdout.split()
    assert link == f"{evaluator.http}/?view=board&board=web&shared=1"
    assert (secret[:5], secret in made.stderr) == ("cube_", False)
    listed = [json.loads(line) for line in cube("keys", "list").output.splitlines()]
    links = [(one["scopes"], one["types"]) for one in listed if one["name"].startswith("link-web-")]
    assert links == [(["read"], ["request"])]

    whole = cube("board", "link", "web", "--with-key", "--type", "request", "--type", "visit")
    address, _, key = whole.stdout.strip().partition("#key=")
    assert (address, key[:5]) == (f"{evaluator.http}/?view=board&board=web", "cube_")
    assert "may read request, visit;" in whole.stderr

    asyncio.run(check_key(evaluator, secret, team))
    assert cube("board", "link", "other").exit_code == 2
    known = cube("keys", "list").output
    for missing in ("other", "we&b\t"):
        assert cube("board", "link", missing, "--type", "request").exit_code == 2
    assert cube("keys", "list").output == known
    assert cube("board", "link", "web", "--filter", "eq(").exit_code == 2


async def check_key(evaluator: Daemon, secret: str, team: str) -> None:
    path = "/1.0/boards/web"
    async with asyncio.timeout(60):  # the daemon reads keys every two seconds
        while True:
            with_key = await ask(evaluator.port, "GET", path, headers={"X-Api-Key": secret})
            if (with_key.status, (await ask(evaluator.port, "GET", path)).status) == (200, 401):
                break
            await asyncio.sleep(0.05)
    put = await ask(evaluator.port, "PUT", path, b"{}", {"X-Api-Key": secret, "If-Match": "*"})
    other = await ask(
        evaluator.port, "GET", "/1.0/metric?expression=sum(visit)", headers={"X-Api-Key": secret}
    )
    page = await ask(evaluator.port, "GET", "/?view=board&board=web")
    whole = await ask(evaluator.port, "GET", path, headers={"X-Api-Key": team})
    assert [one.status for one in (put, other, page, whole)] == [403, 403, 200, 200]


def test_the_command_that_ends_a_link_names_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "cube.toml"
    config.write_text(f'store = "sqlite:{tmp_path}"\n[environments.prod]\n', encoding="utf-8")
    monkeypatch.setenv("CUBE_CONFIG", str(config))
    assert cube("keys", "add", "team", "--environment", "prod", "--create").exit_code == 0
    asyncio.run(save_board(tmp_path))
    made = cube("board", "link", "web", "--environment", "prod")
    _, command, _ = made.stderr.split("`")
    assert cube(*command.split()[1:]).output.endswith("is revoked.\n")


async def save_board(directory: Path) -> None:
    store = await open_store(directory, "cube_prod")
    await store.boards.save(StoredBoard("web", 7, 0, json.dumps(BOARD)), NO_REVISION, 10)
    await store.close()


def test_a_board_is_about_the_types_that_it_names() -> None:
    assert types_of(Board.parse(json.dumps(BOARD))) == {"request", "visit"}
    assert types_of(Board.parse('{"title": "t", "charts": [{"expressions": ["1 + 1", "("]}]}')) == set()


def test_a_table_shows_what_could_command_a_terminal_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    show([{"name": "web", "title": "a\x1b[31mb\nc"}], ("name", "title"))
    printed = capsys.readouterr().out
    assert '"a\\u001b[31mb\\nc"' in printed
    assert "\x1b[31mb" not in printed
