"""A real server of the wire protocol for tests, in a process of its own.

Which: the one at ``CUBE_TEST_MONGO_URL`` (a server, a replica set or a cluster), else a ``mongod`` on the
PATH as a replica set of one, with a small cache, else SecantusDB's ``secantusd-py`` from this virtual
environment. A server that we start keeps its storage in a
temporary directory, listens on a free port of 127.0.0.1, can be stopped, killed and started again on both,
and leaves nothing behind. Every worker of pytest-xdist starts its own, once, when a test needs it.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

START_SECONDS = 60.0
STOP_SECONDS = 30.0
URL_VARIABLE = "CUBE_TEST_MONGO_URL"
SET_NAME = "tests"
_TEST_COMMANDS = ("--setParameter", "enableTestCommands=1")  # `failCommand` among them


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoServer]:
    """One server for all tests of a worker; import it into a conftest, or a module of tests."""
    with MongoServer() as server:
        yield server


class MongoServer:
    """A running server; ``url`` is its address. A context manager that ends what it started.

    ``storage``: a directory, made if missing and kept; None is one that is removed at the end.
    """

    def __init__(self, storage: Path | None = None) -> None:
        self._storage = storage
        self._given = os.environ.get(URL_VARIABLE)
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._databases: list[str] = []
        self._port = 0
        self.url = self._given or ""

    def __enter__(self) -> Self:
        if self._given is None:
            self._directory = self._storage or Path(tempfile.mkdtemp(prefix="cube-mongo-"))
            self._directory.mkdir(parents=True, exist_ok=True)
            self._port = _free_port()
            self.url = f"mongodb://127.0.0.1:{self._port}"
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is None:
            self._drop_databases()
            return
        self.kill()
        if self._storage is None:
            shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start the server, or start it again on the same storage and port; return once it answers."""
        if self._directory is not None and self._process is None:
            command = _command(self._directory, self._port)
            with (self._directory / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=self._directory, preexec_fn=_die_with_parent
                )
        self._wait()

    def stop(self) -> None:
        """End the server as an administrator would; what was acknowledged stays."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        self._signal(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server as if its machine hung: connections stay, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def port(self) -> int:
        """The port of the first of its addresses."""
        port: int = parse_uri(self.url)["nodelist"][0][1]
        return port

    def database(self) -> str:
        """Return a name for an empty database that nobody else uses."""
        name = f"cube_test_{secrets.token_hex(6)}"
        self._databases.append(name)
        return name

    def forget(self, name: str) -> None:
        """Drop a database that a test is done with; a server of our own goes as a whole, which is quicker."""
        self._databases.remove(name)
        if self._directory is not None:
            return
        with _client(self.url) as client:
            client.drop_database(name)

    def _signal(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self._log()}")
            try:
                with _client(f"{self.url}/?directConnection=true" if self._directory else self.url) as client:
                    if self._has_primary(client):
                        return
            except PyMongoError:
                if time.monotonic() > deadline:
                    raise
            assert time.monotonic() < deadline, "the server is still no primary"
            time.sleep(0.02)

    def _has_primary(self, client: MongoClient[dict[str, Any]]) -> bool:
        """Tell whether writes are taken; a new `mongod` is made a set first."""
        hello = client.admin.command("hello")
        if hello.get("isreplicaset"):  # started as a member of a set that nobody has made yet
            member = {"_id": 0, "host": f"127.0.0.1:{self._port}"}
            client.admin.command("replSetInitiate", {"_id": SET_NAME, "members": [member]})
        return bool(hello["isWritablePrimary"])

    def _log(self) -> str:
        assert self._directory is not None
        return (self._directory / "server.log").read_text(errors="replace")[-2000:]

    def _drop_databases(self) -> None:
        with _client(self.url) as client:
            for name in self._databases:
                client.drop_database(name)


def _command(directory: Path, port: int) -> list[str]:
    mongod = shutil.which("mongod")
    if mongod is not None:
        where = ["--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(directory)]
        return [mongod, *where, "--replSet", SET_NAME, "--wiredTigerCacheSizeGB", "0.25", *_TEST_COMMANDS]
    secantusd = Path(sys.executable).with_name("secantusd-py")
    storage = directory / "storage"
    return [
        str(secantusd),
        "--sync-on-commit",
        "--enable-test-commands",
        "--storage-path",
        str(storage),
        "--port",
        str(port),
    ]


def _die_with_parent() -> None:
    """Let the kernel end the server if the tests are killed (Linux; prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _client(url: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(url, serverSelectionTimeoutMS=500, connectTimeoutMS=500)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
