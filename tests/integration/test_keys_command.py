"""`cube keys` makes neither stores nor environments by mistake, nor keys that could be guessed."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cube.cli.main import main
from cube.model.environment import DEFAULT, is_weak, make_key
from tests.daemon import Daemon, daemon
from tests.mongo_server import MongoServer, mongo_server
from tests.web_client import ask

__all__ = ["mongo_server"]

SECRET = "ySmW6ZJzNBsXjOsTbZ3q"
UUID = "3f2b1c9a-6e0d-4f57-8a7b-52c1d9e0ab34"


def keys(*arguments: str, stdin: str = "") -> tuple[int, str]:
    """Run ``cube keys`` in this process; return its status, and what it says."""
    ended = CliRunner().invoke(main, ["keys", *arguments], input=stdin, env={"CUBE_CONFIG": None})
    return ended.exit_code, ended.output


@pytest.fixture(params=["sqlite", "mongodb"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """A store in which nothing is."""
    if request.param == "sqlite":
        return ("--store", f"sqlite:{tmp_path / 'data'}", "--database", "test")
    server: MongoServer = request.getfixturevalue("mongo_server")
    return ("--store", server.url, "--database", server.database())


def status(running: Daemon) -> int:
    return asyncio.run(ask(running.port, "GET", "/1.0/types")).status


@pytest.mark.parametrize("command", [("add", "web"), ("list",), ("revoke", "web")], ids=str)
def test_a_store_that_is_not_there_is_said_and_not_made(
    where: tuple[str, ...], command: tuple[str, ...], tmp_path: Path
) -> None:
    code, said = keys(*command, *where)
    assert code == 2
    assert re.match(r"cube: There is no database \w+ in the store (sqlite|mongodb):.*; accepted is", said)
    assert list(tmp_path.iterdir()) == []


def test_keys_can_be_made_before_the_first_start_and_need_no_telling_afterwards(
    where: tuple[str, ...],
) -> None:
    assert keys("add", "web", "--create", "--key", SECRET, *where) == (0, "The key web is added.\n")
    assert keys("add", "two", "--key", SECRET, *where)[0] == 0
    assert [json.loads(line)["name"] for line in keys("list", *where)[1].splitlines()] == ["two", "web"]


def test_revoking_the_last_key_opens_nothing_after_a_start_either(
    where: tuple[str, ...], tmp_path: Path
) -> None:
    keys("add", "web", "--create", *where)
    assert keys("revoke", "web", *where) == (0, "The key web is revoked.\n")
    with daemon("evaluator", where[1], tmp_path, database=where[3]) as evaluator:
        assert status(evaluator) == 401
    assert "there were keys and now there are none" in (tmp_path / "evaluator.log").read_text()


def test_an_empty_file_of_keys_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "test.keys.db").touch()
    with daemon("evaluator", f"sqlite:{tmp_path}", tmp_path) as evaluator:
        assert status(evaluator) == 401


def test_a_daemon_and_its_look_at_the_keys_make_no_file_of_keys(tmp_path: Path) -> None:
    with daemon("evaluator", f"sqlite:{tmp_path}", tmp_path) as evaluator:
        assert status(evaluator) == 200
        assert keys("list", "--store", f"sqlite:{tmp_path}", "--database", "test") == (0, "")
        assert not (tmp_path / "test.keys.db").exists()


def test_an_environment_that_is_not_configured_gets_no_key(tmp_path: Path) -> None:
    file = tmp_path / "collector.toml"
    file.write_text(
        f'store = "sqlite:{tmp_path}"\nudp_port = 0\n[environments.prod]\n[environments.dev]\nopen = true\n'
    )
    place = ("--store", f"sqlite:{tmp_path}", "--create")
    code, said = keys("add", "web", "--environment", "prod", *place)
    assert code == 2
    assert said == (
        'cube: Got the environment "prod", which is not configured; accepted is default, or one of a settings'
        " file that --config names.\n"
    )
    code, said = keys("add", "web", "--config", str(file), "--create")
    assert code == 2
    assert f'Got the environment "{DEFAULT}", which is not configured; accepted is prod or dev' in said
    assert list(tmp_path.iterdir()) == [file]
    assert keys("add", "web", "--environment", "prod", "--config", str(file), "--create")[0] == 0
    listed = json.loads(keys("list", "--config", str(file))[1])
    assert (listed["environment"], listed["name"]) == ("prod", "web")
    assert keys("revoke", "web", "--environment", "prod", "--store", f"sqlite:{tmp_path}")[0] == 0


WEAK = [
    "",
    "secret",
    "a" * 40,
    "ab" * 20,
    "0123456789abcdef"[:15],
    "abcdefghijklmnopqrstuvwxyz",
    "passwordpassword",
]


@pytest.mark.parametrize("secret", [*WEAK, f"{SECRET} {SECRET}", f"{SECRET}\n", f"{SECRET}é"])
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused_and_not_shown(
    secret: str, tmp_path: Path
) -> None:
    where = ("--store", f"sqlite:{tmp_path}", "--create")
    code, said = keys("add", "web", "--key", secret, *where)
    assert code == 2
    assert "accepted are 16 or more of ASCII without blanks, 8 of them different" in said
    assert not secret or secret not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secret", [SECRET, UUID, "5f4dcc3b5aa765d61d8327deb882cf99", "AZ19qwErTy28UIop"])
def test_a_key_as_others_make_them_is_taken(secret: str) -> None:
    assert keys("hash", stdin=f"{secret}\n")[0] == 0


def test_a_weak_key_is_not_hashed_for_a_settings_file(tmp_path: Path) -> None:
    assert keys("hash", stdin="secret\n")[0] == 2


def test_keys_that_are_made_are_not_weak() -> None:
    assert not any(is_weak(make_key()) for _ in range(1000))


def test_a_weak_key_of_a_settings_file_is_said_in_the_log(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[environments.prod]\n[[environments.prod.keys]]\nname = "web"\nkey = "secret"\n')
    with daemon("evaluator", f"sqlite:{tmp_path}", tmp_path, "--config", str(file)):
        pass
    log = (tmp_path / "evaluator.log").read_text()
    assert "the key web of prod could be guessed" in log
    assert '"secret"' not in log
