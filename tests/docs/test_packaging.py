"""What `config/` ships beside the settings: each file is read by the tool that it is for, and fits us."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from cube.model.environment import Scope
from cube.settings import CollectorSettings, EvaluatorSettings, load
from tests.tools import tool

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = ROOT / "config"
UNITS = sorted((CONFIG / "systemd").iterdir())
SETTINGS = {"cube-collector": CollectorSettings, "cube-evaluator": EvaluatorSettings}
COMPOSE: dict[str, Any] = yaml.safe_load((CONFIG / "docker/compose.yaml").read_text())
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((CONFIG / "kubernetes/cube.yaml").read_text()))


def unit(file: Path) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]  # keys of systemd have capitals
    read.read_string(file.read_text())
    return read


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for file in UNITS:
        text = re.sub(r"/opt/cube\S*/bin/\S+", "/bin/true", file.read_text()).replace(
            "User=cube", "User=root"
        )
        (tmp_path / file.name).write_text(text)
    checked = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "cube-" not in checked.stderr, checked.stderr
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("file", sorted((CONFIG / "systemd").glob("*.service")), ids=lambda file: file.stem)
def test_a_unit_runs_what_is_installed_with_time_to_stop(file: Path) -> None:
    service = unit(file)["Service"]
    path, *flags = shlex.split(service["ExecStart"])
    program = file.stem.removesuffix("@")
    assert Path(path).name == program
    assert flags == ["--config", f"/etc/cube/{program.removeprefix('cube-')}.toml"]
    assert int(service["TimeoutStopSec"]) > SETTINGS[program]().stop_seconds + 3


def test_a_unit_of_a_template_is_shut_in_as_the_one_with_sockets() -> None:
    plain, template = (
        dict(unit(CONFIG / f"systemd/cube-collector{at}.service")["Service"]) for at in ("", "@")
    )
    assert template.pop("ExecStart") == plain.pop("ExecStart").replace("/opt/cube/", "/opt/cube-%i/")
    assert template == plain


def test_the_sockets_are_where_the_settings_have_them_by_default() -> None:
    collector, evaluator = CollectorSettings(), EvaluatorSettings()
    opened = unit(CONFIG / "systemd/cube-collector.socket")["Socket"]
    assert opened["ListenStream"] == f"{collector.host}:{collector.port}"
    assert opened["ListenDatagram"] == f"{collector.host}:{collector.udp_port}"
    opened = unit(CONFIG / "systemd/cube-evaluator.socket")["Socket"]
    assert opened["ListenStream"] == f"{evaluator.host}:{evaluator.port}"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint is not None, "make setup installs it"
    checked = subprocess.run(
        [hadolint, CONFIG / "docker/Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_dockerfile_copies_what_is_there_and_runs_what_is_installed() -> None:
    text = (CONFIG / "docker/Dockerfile").read_text()
    copied = [
        name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()
    ]
    assert len(copied) > 8
    assert [name for name in copied if not (ROOT / name).exists()] == []
    (command,) = re.findall(r"^CMD (.+)$", text, re.MULTILINE)
    accepted(yaml.safe_load(command), {})


def accepted(command: list[str], environment: dict[str, str]) -> None:
    """Fail where a daemon would refuse its flags or its variables."""
    program, *flags = command
    load(SETTINGS[program], flags, environment)  # type: ignore[type-var]


def test_the_compose_file_is_one_whose_daemons_take_what_it_says() -> None:
    PyCompose.from_yaml(yaml.safe_dump({key: COMPOSE[key] for key in ("name", "services", "volumes")}))
    assert (CONFIG / "docker" / COMPOSE["services"]["collector"]["build"]["context"]).resolve() == ROOT
    for name in ("collector", "evaluator"):
        service = COMPOSE["services"][name]
        accepted(service["command"], service["environment"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        (probed,) = re.findall(r"127\.0\.0\.1:(\d+)/readyz", " ".join(service["healthcheck"]["test"]))
        assert f"127.0.0.1:{probed}:{probed}" in service["ports"]


@pytest.mark.parametrize("place", range(len(OBJECTS)), ids=lambda place: OBJECTS[place]["kind"])
def test_kubernetes_takes_each_object(place: int) -> None:
    kubernetes_validate.validate(OBJECTS[place], "1.30", strict=True)


def test_the_pods_run_daemons_that_take_what_they_are_told() -> None:
    (settings,) = [found["data"] for found in OBJECTS if found["kind"] == "ConfigMap"]
    pods = [found["spec"]["template"]["spec"] for found in OBJECTS if "template" in found.get("spec", {})]
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["containers"]
        accepted(container["args"], {**settings, "CUBE_STORE": "mongodb://db"})
        assert {mount["name"] for mount in container["volumeMounts"]} == {"data", "tmp"}
        (port,) = container["ports"]
        assert port["containerPort"] == SETTINGS[container["args"][0]]().port


def test_scopes_that_comments_name_are_some() -> None:
    text = (CONFIG / "kubernetes/cube.yaml").read_text()
    assert set(re.findall(r"--scope (\w+)", text)) <= {scope.value for scope in Scope}


def test_the_installation_has_every_page_and_every_file_of_settings() -> None:
    listed = configparser.ConfigParser()
    listed.read(ROOT / "setup.cfg")
    globs = [line for text in listed["options.data_files"].values() for line in text.split()]
    shipped = {path for glob in globs for path in ROOT.glob(glob)}
    there = {path for folder in ("docs", "config") for path in (ROOT / folder).rglob("*") if path.is_file()}
    makers = {path for path in there if path.suffix in (".py", ".pyc")}  # of the site, and of tables
    assert there - shipped == makers
