"""Icinga 2, as Debian has it, writes what its checks find to `/write`, `/api/v2/write` and `_bulk`."""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.foreign_client import WRITE_KEY, Running
from tests.tools import running, tool

SECONDS = 30.0
CHECKS = """
include <itl>
object CheckerComponent "checker" { }
object FileLogger "log" { severity = "warning", path = LOG }
object Host "web14" {
  check_command = "dummy"
  check_interval = 1s
  vars.dummy_text = "up|rta=12.5ms;100;200;0 pl=0%;5;10"
}
object Service "load" {
  host_name = "web14"
  check_command = "dummy"
  check_interval = 1s
  vars.dummy_state = 1
  vars.dummy_text = "WARNING - load \\"é\\"|load1=0.75;0.5;10;0 users=3 'disk C:'=80MB;;;0;100"
}
"""
WRITERS = """
object InfluxdbWriter "one" {
  host = "127.0.0.1"
  port = PORT
  database = "any"
  basic_auth = { username = "any", password = KEY }
  flush_interval = 1s
  enable_send_thresholds = true
  host_template = { measurement = "one $host.check_command$", tags = { host = "$host.name$" } }
  service_template = {
    measurement = "one $service.check_command$"
    tags = { host = "$host.name$", service = "$service.name$" }
  }
}
object Influxdb2Writer "two" {
  host = "127.0.0.1"
  port = PORT
  flush_interval = 1s
  organization = "any"
  bucket = "any"
  auth_token = KEY
  host_template = { measurement = "two $host.check_command$", tags = { host = "$host.name$" } }
  service_template = { measurement = "two $service.check_command$", tags = { service = "$service.name$" } }
}
object ElasticsearchWriter "three" {
  host = "127.0.0.1"
  port = PORT
  index = "icinga2"
  enable_send_perfdata = true
  username = KEY
  password = "any"
  flush_interval = 1s
}
"""
READ = {"rta": 0.0125, "pl": 0.0, "load1": 0.75, "users": 3.0, "disk C:": 80_000_000.0}
"""What the checks tell, in the units that Icinga makes of theirs."""


@contextmanager
def icinga(directory: Path, port: int) -> Iterator[Path]:
    """Run Icinga with its writers; the file that its warnings and errors go to."""
    settings, log = directory / "icinga2.conf", directory / "warnings.log"
    settings.write_text(CHECKS + WRITERS)
    constants = {"PORT": str(port), "KEY": WRITE_KEY, "LOG": str(log)}
    constants["Configuration.RunAsUser"] = pwd.getpwuid(os.getuid()).pw_name
    constants["Configuration.RunAsGroup"] = grp.getgrgid(os.getgid()).gr_name
    for name in ("Data", "Log", "Cache", "InitRun", "Spool", "Config"):
        (directory / name).mkdir()
        constants[f"Configuration.{name}Dir"] = str(directory / name)
    defined = [text for name, value in constants.items() for text in ("-D", f"{name}={value}")]
    with running(tool("icinga2"), "daemon", "-c", str(settings), *defined):
        yield log


def test_what_icinga_checks_is_measured_by_each_of_its_ways_out(keyed: Running, tmp_path: Path) -> None:
    port = urlsplit(keyed.collector).port or 0
    with icinga(tmp_path, port) as log:
        one, two = (_found(keyed, f"{name}_dummy", 10) for name in ("one", "two"))
        results = _found(keyed, "icinga2", 4)
    assert log.read_text() == ""
    assert {event["metric"]: event["value"] for event in one} == READ
    assert {event["metric"]: event["value"] for event in two} == READ
    (load, *_) = (event for event in one if event["metric"] == "load1")
    assert load == {
        "host": "web14",
        "service": "load",
        "metric": "load1",
        "value": 0.75,
        "warn": 0.5,
        "crit": 10.0,
        "min": 0.0,
    }
    (found, *_) = (event for event in results if event.get("service") == "load")
    assert found["check_result.output"] == 'WARNING - load "é"'
    assert (found["state"], found["check_result.perfdata.load1.value"]) == (1, 0.75)
    assert keyed.rejected("influx") == keyed.rejected("elasticsearch") == []


def _found(cube: Running, type: str, count: int) -> list[Any]:
    """Return the data of the events once so many are there; fewer where they do not come."""
    until = time.monotonic() + SECONDS
    while True:
        found = [event.data for event in cube.evaluator.events(f"{type}(*)", limit=1000)]
        if len(found) >= count or time.monotonic() > until:
            return found
        time.sleep(0.1)
