"""Settings come from a file, the environment and flags, and are refused in sentences."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from cube.errors import InvalidSettings
from cube.settings import (
    CollectorSettings,
    DaemonSettings,
    EvaluatorSettings,
    Setting,
    commented_toml,
    load,
    settings_of,
    settings_of_both,
    unknown_variables,
    variable,
)
from cube.settings.load import flag

ROOT = Path(__file__).parents[2]
DAEMONS = [CollectorSettings, EvaluatorSettings]
EVERY = [
    pytest.param(cls, item, id=f"{cls.program}-{item.key}") for cls in DAEMONS for item in settings_of(cls)
]


def at(settings: DaemonSettings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


LISTS = {"origins": ("https://a", "https://b"), "dialects.snowplow_paths": ("/a/b", "/c.d/e")}


def another(item: Setting) -> tuple[str, object]:
    """Return an accepted text that is not the default, and its value."""
    if item.rule.choices:
        text = next(choice for choice in item.rule.choices if choice != item.default)
        return text, text
    if item.kind is bool:
        return str(not item.default).lower(), not item.default
    if item.kind is tuple:
        texts = LISTS.get(item.key, ("a", "b"))
        return ",".join(texts), texts
    if item.kind is str:
        return "other", "other"
    number = item.kind(item.rule.low or 0) + item.kind(1)
    return str(number), number


@pytest.mark.parametrize("cls", DAEMONS)
def test_the_commented_file_holds_every_setting_with_its_default(cls: type[DaemonSettings]) -> None:
    path = ROOT / "config" / f"{cls.program}.toml"
    assert path.read_text() == commented_toml(cls), f"run: python -m cube.settings {cls.program} > {path}"
    assert load(cls, ["--config", str(path)], {}) == cls()
    assert load(cls, [], {"CUBE_CONFIG": str(path)}) == cls()


@pytest.mark.parametrize(("cls", "item"), EVERY)
def test_every_setting_comes_from_file_environment_and_flag(
    cls: type[DaemonSettings], item: Setting, tmp_path: Path
) -> None:
    text, value = another(item)
    group, _, name = item.key.rpartition(".")
    toml = f'"{value}"' if isinstance(value, str) else str(value).lower()
    toml = str(list(value)) if isinstance(value, tuple) else toml
    file = tmp_path / "settings.toml"
    file.write_text(f"[{group}]\n{name} = {toml}\n" if group else f"{name} = {toml}\n")

    assert at(load(cls, ["--config", str(file)], {}), item.key) == value
    assert at(load(cls, [], {variable(item.key): text}), item.key) == value
    assert at(load(cls, [flag(item.key), text], {}), item.key) == value
    assert at(load(cls, [f"{flag(item.key)}={text}"], {}), item.key) == value


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("port = 1\nudp_port = 1\nhost = 'file'\n")
    settings = load(
        CollectorSettings,
        ["--config", str(file), "--port", "3"],
        {"CUBE_PORT": "2", "CUBE_UDP_PORT": "2"},
    )
    assert (settings.port, settings.udp_port, settings.host) == (3, 2, "file")


@pytest.mark.parametrize("text", ["true", "True", "1", "on", "yes"])
def test_truth_has_several_spellings_in_text(text: str) -> None:
    assert load(CollectorSettings, [], {"CUBE_SELF_EVENTS": text}).self_events is True


def test_a_list_is_separated_by_commas() -> None:
    assert load(CollectorSettings, ["--foreign", "a, b,"], {}).foreign == ("a", "b")
    assert load(CollectorSettings, [], {"CUBE_FOREIGN": ""}).foreign == ()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("prt = 1", r"Got the key prt in .*, which is not a setting \(did you mean port\?\); --help lists"),
        ("[limits]\nevents = 1", r"Got the key limits\.events in "),
        ("[limit]\nevents = 1", "Got the key limit in .*, which is not a setting"),
        ("limits = 1", r"Got the key limits in "),
        ("[a.b]\nc = 1", "Got the key a in "),
        ("port = '1080'", 'Got port = "1080" from .*; accepted is a whole number from 0 to 65535'),
        ("port = true", "Got port = true "),
        ("port = 1080.0", r"Got port = 1080\.0 "),
        ("stop_seconds = nan", "Got stop_seconds = NaN from .* accepted is a number from 0.1 to 3600"),
        ("host = ''", 'Got host = "" '),
        ("database = '../x'", r'Got database = "\.\./x" from .* accepted is text that matches '),
        ("foreign = ['a', 1]", r'Got foreign = \["a", 1\] '),
        ("foreign = 'a'", 'Got foreign = "a" from .* accepted is a list of texts that match'),
        ("port = ", "The settings file .* cannot be read: "),
    ],
)
def test_a_bad_file_is_refused_with_a_sentence(tmp_path: Path, toml: str, message: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(toml)
    with pytest.raises(InvalidSettings, match=message):
        load(CollectorSettings, ["--config", str(file)], {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidSettings, match=r"The settings file .*none\.toml cannot be read: .*No such file"
    ):
        load(CollectorSettings, ["--config", str(tmp_path / "none.toml")], {})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prt", "1"], r"Got the argument --prt, which is not a setting \(did you mean --port\?\)"),
        (
            ["--limits-event-byte=1"],
            r"Got the argument --limits-event-byte, .*did you mean --limits-event-bytes",
        ),
        (["extra"], "Got the argument extra, which is not a setting"),
        (["--port"], "--port: expected one argument"),
        (["--port", "65536"], "Got port = 65536 from --port; accepted is a whole number from 0 to 65535"),
        (["--port", "1_0"], 'Got port = "1_0" from --port'),
        (["--log-level", "loud"], "accepted is one of debug, info, warning, error"),
    ],
)
def test_bad_flags_are_refused_with_a_sentence(argv: list[str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        load(CollectorSettings, argv, {})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("CUBE_PORT", "", 'Got port = "" from CUBE_PORT'),
        ("CUBE_SELF_EVENTS", "maybe", "accepted is true or false"),
    ],
)
def test_bad_variables_are_refused_with_a_sentence(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        load(EvaluatorSettings, [], {name: text})


def said(environ: dict[str, str]) -> list[str]:
    return unknown_variables(environ, [setting.key for setting in settings_of_both()])


@pytest.mark.parametrize(("name", "meant"), [("CUBE_PROT", "CUBE_PORT"), ("CUBE_UPD_PORT", "CUBE_UDP_PORT")])
def test_a_variable_that_nobody_knows_is_told_and_stops_nothing(name: str, meant: str) -> None:
    assert load(EvaluatorSettings, [], {name: "1"}) == EvaluatorSettings()
    (sentence,) = said({name: "1", "HOME": "/"})
    assert sentence == (
        f"Got the environment variable {name}, which is not a setting (did you mean {meant}?); it is ignored."
    )


def test_a_variable_that_is_like_a_setting_by_its_prefix_alone_gets_no_guess() -> None:
    assert said({"CUBE_FOO": "1"}) == [
        "Got the environment variable CUBE_FOO, which is not a setting; it is ignored."
    ]


KUBERNETES = {
    "CUBE_PORT": "tcp://10.0.0.1:1080",
    "CUBE_SERVICE_HOST": "10.0.0.1",
    "CUBE_SERVICE_PORT": "1080",
    "CUBE_SERVICE_PORT_HTTP": "1080",
    "CUBE_PORT_1080_TCP": "tcp://10.0.0.1:1080",
    "CUBE_PORT_1080_TCP_PROTO": "tcp",
    "CUBE_PORT_1080_TCP_PORT": "1080",
    "CUBE_PORT_1080_TCP_ADDR": "10.0.0.1",
    "CUBE_UDP_PORT": "udp://10.0.0.2:1180",  # of a service cube-udp
    "CUBE_COLLECTOR_PORT": "tcp://10.0.0.3:1080",
}
"""What every pod has beside services named cube, cube-udp and cube-collector."""


def test_what_kubernetes_says_of_services_named_cube_is_no_setting() -> None:
    assert load(CollectorSettings, [], KUBERNETES) == CollectorSettings()
    assert said(KUBERNETES) == []
    assert load(CollectorSettings, [], KUBERNETES | {"CUBE_PORT": "9"}).port == 9
    with pytest.raises(InvalidSettings, match='Got port = "http://a" from CUBE_PORT'):
        load(CollectorSettings, [], {"CUBE_PORT": "http://a"})


def test_one_file_may_serve_both_daemons(tmp_path: Path) -> None:
    file = tmp_path / "cube.toml"
    file.write_text("udp_port = 7\n[limits]\nbatch_events = 8\nrows = 9\n[stream]\npoll_ms = 10\n")
    collector = load(CollectorSettings, ["--config", str(file)], {})
    evaluator = load(EvaluatorSettings, ["--config", str(file)], {})
    assert (collector.udp_port, collector.limits.batch_events) == (7, 8)
    assert (evaluator.limits.rows, evaluator.stream.poll_ms) == (9, 10)
    file.write_text("[stream]\npoll_ms = 1\n")
    with pytest.raises(InvalidSettings, match=r"Got stream.poll_ms = 1 from .* accepted is"):
        load(CollectorSettings, ["--config", str(file)], {})


def test_defaults_of_a_caller_are_the_last_to_count(tmp_path: Path) -> None:
    file = tmp_path / "cube.toml"
    file.write_text("host = 'file'\n")
    defaults = {"host": "caller", "store": "sqlite:there"}
    settings = load(CollectorSettings, ["--config", str(file)], {}, defaults=defaults)
    assert (settings.host, settings.store) == ("file", "sqlite:there")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CUBE_UDP_PORT", "9"),  # the collector's
        ("CUBE_TEST_MONGO_URL", "x"),
        ("CUBE_COLLECTOR", "http://127.0.0.1:1080"),
        ("CUBE_EVALUATOR_SERVICE_HOST", "10.0.0.1"),
        ("CUBE_EVALUATOR_SERVICE_PORT_HTTP", "1081"),
        ("CUBE_EVALUATOR_PORT", "tcp://10.0.0.1:1081"),
        ("CUBE_EVALUATOR_PORT_1081_TCP_ADDR", "10.0.0.1"),
        ("CUBESTER", "x"),
    ],
)
def test_variables_of_others_are_left_alone(name: str, text: str) -> None:
    assert load(EvaluatorSettings, [], {name: text}) == EvaluatorSettings()
    assert said({name: text}) == []


def test_help_lists_every_setting_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    for cls in DAEMONS:
        with pytest.raises(SystemExit) as stopped:
            load(cls, ["--help"], {})
        assert stopped.value.code == 0
        shown = re.sub(r"\s+", " ", capsys.readouterr().out)
        for item in settings_of(cls):
            assert flag(item.key) in shown
            assert item.rule.help in shown


@pytest.mark.parametrize("cls", DAEMONS)
def test_every_setting_is_read_by_its_daemon(cls: type[DaemonSettings]) -> None:
    """A setting that nothing reads would be a promise that nothing keeps."""
    code = (ROOT / "cube" / "daemon.py").read_text() + "\n".join(
        path.read_text()
        for package in (cls.program, "cube/web", "cube/process")
        for path in (ROOT / package).rglob("*.py")
    )
    unread = [
        item.key for item in settings_of(cls) if not re.search(rf"\.{item.key.rpartition('.')[2]}\b", code)
    ]
    assert unread == []


def test_settings_are_frozen_values() -> None:
    assert CollectorSettings() == CollectorSettings()
    assert hash(CollectorSettings()) == hash(CollectorSettings())
    assert {field.name for field in fields(DaemonSettings)} <= {
        field.name for field in fields(EvaluatorSettings)
    }


def test_metrics_that_are_kept_shorter_than_events_are_refused() -> None:
    kept = ["--retention-event-days", "30", "--retention-metric-days"]
    with pytest.raises(InvalidSettings, match=r"Got metric_days = 7 of .*; accepted is 0, or at least .* 30"):
        load(CollectorSettings, [*kept, "7"], {})
    for days in ("0", "30", "31"):
        assert load(CollectorSettings, [*kept, days], {}).retention.metric_days == float(days)
    assert load(CollectorSettings, ["--retention-metric-days", "7"], {}).retention.event_days == 0
