"""The image is made of the Dockerfile as it stands, and it and the compose file run as the page says.

Podman is Docker here, on a machine of its own without a network. So what is asked of others lies ready:
packages as wheels, and in the place of Docker's images of Python one of Debian's packages, and of MongoDB
one of the server that tests have.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import copy_checkout
from tests.docs.blocks import ROOT
from tests.docs.runners import run_by
from tests.systemd_machine import SystemdMachine, environment, systemd_machine
from tests.tools import SLOW, as_root, tool

pytestmark = [SLOW, pytest.mark.timeout(900)]

[UP] = [line.removeprefix("$ ") for block in run_by(__file__) for line in block.text.splitlines()]
BUILD = "docker build -f config/docker/Dockerfile -t cube ."
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "config/docker/compose.yaml").read_text())["services"]
SECONDS = 120.0
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
PACKAGES = "python3,python3-venv,python-is-python3,passwd"
DOCKER = 'docker() { if [ "$1" = compose ]; then shift; podman-compose "$@"; else podman "$@"; fi; }; '
READY = (
    "--isolation chroot --pull-never --volume /srv/wheels:/wheels:ro --volume /srv/pip.conf:/etc/pip.conf:ro"
)
"""What each build gets that the page's command does not say: no network, and what lies ready."""

FILES = {
    "pip.conf": "[global]\nno-index = true\nfind-links = /wheels\n",
    "storage.conf": '[storage]\ndriver = "overlay"\ngraphroot = "/tmp/images"\nrunroot = "/tmp/running"\n',
    # No cgroups, and few files: neither needs a right that the machine may lack.
    "containers.conf": (
        '[containers]\ncgroups = "disabled"\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        '[network]\nnetwork_backend = "netavark"\n'
    ),
    "mongosh": (
        "#!/opt/mongo/bin/python\nfrom pymongo import MongoClient\n"
        "MongoClient('mongodb://127.0.0.1', serverSelectionTimeoutMS=3000).admin.command('ping')\n"
    ),
    "Mongofile": (
        "FROM python:3.13-slim\nCOPY --chmod=755 mongosh /usr/local/bin/\n"
        "RUN python -m venv /opt/mongo && /opt/mongo/bin/pip install --quiet --no-compile secantusdb\n"
        "VOLUME /data/db\n"
        'CMD ["/opt/mongo/bin/secantusd-py", "--host", "0.0.0.0", "--port", "27017", "--storage-path",'
        ' "/data/db", "--standalone"]\n'
    ),
}


def prepare(shared: Path) -> None:
    """Put into a folder what there is no network for where images are made."""
    for name, text in FILES.items():
        (shared / name).write_text(text)
    sources = [each for each in SOURCES if each.exists()]
    assert sources, f"none of {SOURCES} is there: whence is Debian?"
    bare = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    bare.append("--dpkgopt=force-unsafe-io")
    # With apt, as Docker's images of Debian have it: its libstdc++ is numpy's, too.
    debian = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}", *bare, ""]
    subprocess.run([*as_root(), *debian, shared / "base.tar", sources[0]], check=True, timeout=300)
    ours = {**environment(), "HOME": str(Path.home())}
    subprocess.run(["python3", "-m", "venv", shared / "python"], check=True, timeout=60, env=ours)
    wheels = [shared / "python/bin/pip", "wheel", "--quiet", "--wheel-dir", "wheels"]
    wanted = [".[sentry]", "setuptools", f"secantusdb=={version('secantusdb')}"]
    subprocess.run(
        [*wheels, "--constraint", "constraints.txt", *wanted], cwd=shared, check=True, timeout=300, env=ours
    )
    for wheel in (shared / "wheels").glob("cube_events-*.whl"):
        wheel.unlink()  # that one is for the Dockerfile to make


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """A machine on which the page's command has made the image."""
    for name in ("podman", "podman-compose", "mmdebstrap"):
        tool(name)
    for told in ("docs/install.md", "config/docker/Dockerfile"):
        assert BUILD in (ROOT / told).read_text()
    folder = tmp_path_factory.mktemp("image")
    shared = copy_checkout(folder / "shared")
    prepare(shared)
    with systemd_machine(folder) as running:
        running.run("cp storage.conf containers.conf /etc/containers/")
        running.run("podman import --quiet base.tar docker.io/library/python:3.13-slim")
        running.run(f"podman build --quiet {READY} -f Mongofile -t docker.io/library/mongo:8 .")
        running.run(DOCKER + BUILD.replace("docker build", f"docker build {READY}"))
        for made in ("base.tar", "wheels", "python"):
            running.run(f"rm -r {made}")  # a quarter of a gigabyte
        yield running


def wait_for(machine: SystemdMachine, text: str, what: str) -> None:
    """Wait until a text of bash prints `what`."""
    deadline = time.monotonic() + SECONDS
    while (printed := machine.run(f"{text} || true")) != what:
        assert time.monotonic() < deadline, f"{text}: {printed}{machine.run('podman ps --all')}"
        time.sleep(0.2)


def ready(machine: SystemdMachine, *ports: int) -> None:
    for port in ports:
        wait_for(machine, f"curl -s -o /dev/null -w '%{{http_code}}' 127.0.0.1:{port}/readyz", "200")


def counted(machine: SystemdMachine, type: str) -> float:
    """Send an event, and return how many the evaluator counts."""
    event = json.dumps({"type": type, "time": "2020-01-01T12:00Z"})
    assert machine.run(f"curl -sSf http://127.0.0.1:1080/1.0/event -d '{event}'") == "{}"
    query = f"expression=sum({type})&step=1d&start=2020-01-01&stop=2020-01-02"
    [row] = json.loads(machine.run(f"curl -sSf 'http://127.0.0.1:1081/1.0/metric?{query}'"))
    return float(row["value"])


RUN = "docker run --network host --volume data:/var/lib/cube --env CUBE_STORE=sqlite:/var/lib/cube/data"


def test_it_refuses_to_listen_for_others_before_there_are_keys(machine: SystemdMachine) -> None:
    refused = machine.run(f"{DOCKER} {RUN} --rm cube 2>&1 && echo started || true")
    assert "and no keys; accepted are" in refused
    assert "started" not in refused


def test_what_it_runs_takes_events_as_a_user_without_rights_and_stops(machine: SystemdMachine) -> None:
    machine.run(f"{DOCKER} {RUN} --env CUBE_INSECURE=true --detach --name one cube")
    machine.run(
        f"{DOCKER} {RUN} --env CUBE_INSECURE=true --detach --name two cube cube-evaluator --host 0.0.0.0"
    )
    ready(machine, 1080, 1081)
    assert counted(machine, "contained") == 1
    assert machine.run("podman exec one id -u").strip() == "10001"
    assert machine.run("podman exec one stat -c '%a %U' . data").splitlines() == ["700 cube"] * 2
    assert machine.run("podman exec one cube --version").startswith("cube, version ")
    machine.run("podman stop --time 20 one two")
    assert machine.run("podman inspect --format '{{.State.ExitCode}}' one two").split() == ["0", "0"]


def test_the_compose_file_runs_both_beside_a_mongodb(machine: SystemdMachine) -> None:
    machine.run(DOCKER + UP)
    ready(machine, 1080, 1081)
    assert counted(machine, "composed") == 1
    names = machine.run("podman ps --format '{{.Names}}'").split()
    assert len(names) == len(COMPOSE)
    for service, told in COMPOSE.items():
        [name] = [name for name in names if f"_{service}_" in name]
        command, *words = told["healthcheck"]["test"]
        assert command == "CMD"
        subprocess.run(machine.command('podman exec "$@"', name, *words), check=True, timeout=60)
    machine.run(f"{DOCKER} {UP.replace('up --detach', 'down')}")
