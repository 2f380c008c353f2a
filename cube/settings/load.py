"""Reading settings: a TOML file, then environment variables, then flags, the later one winning."""

from __future__ import annotations

import argparse
import difflib
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from typing import Any, NoReturn, TypeAlias, TypeVar, cast

from cube.errors import InvalidSettings
from cube.model.environment import Environment, Key
from cube.settings.daemons import CollectorSettings, DaemonSettings, EvaluatorSettings
from cube.settings.environments import read_environments, refuse_short_metrics
from cube.settings.setting import Scalar, Setting, settings_of

S = TypeVar("S", bound=DaemonSettings)
Value: TypeAlias = "Scalar | tuple[Environment, ...] | tuple[Key, ...]"

PREFIX = "CUBE_"

# Not settings of a daemon: the settings file's, the tests', the command's, and what Kubernetes sets in
# every pod for each service whose name is "cube" or begins so, beside the links below.
_OTHERS = re.compile(
    r"CUBE_(CONFIG|KEY|TEST_\w+|COLLECTOR|EVALUATOR|(\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT_\d+_\w+)",
    re.ASCII,
)
_LINK = re.compile(r"(tcp|udp|sctp)://\S*", re.ASCII)


def load(
    cls: type[S],
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    defaults: Mapping[str, Scalar] | None = None,
) -> S:
    """Read the settings of a daemon.

    ``argv``: the flags, without the program's name: ``--key``, with dots and underlines as dashes;
    ``--config FILE`` names the TOML file, which may hold settings of the other daemon, too. ``environ``:
    `CUBE_CONFIG`, and for every key its `variable`; see `unknown_variables`. ``defaults``: by key,
    in place of the settings' own.

    ``--help`` prints all of them and exits. Raises `InvalidSettings` for an unknown key or a bad
    value, naming the key, what was got and what is accepted, and for two that contradict each other.
    """
    settings = {setting.key: setting for setting in settings_of(cls)}
    flags = _from_flags(cls, settings, argv)
    path = flags.pop("config") or environ.get("CUBE_CONFIG")
    values: dict[str, Value] = dict(defaults or {})
    if path:
        values.update(_from_file(settings, path))
    values.update(_from_environment(settings, environ))
    values.update((key, settings[key].read(text, flag(key))) for key, text in flags.items())
    loaded = _build(cls, values)
    if isinstance(loaded, CollectorSettings):
        kept = loaded.retention
        refuse_short_metrics(kept.event_days, kept.metric_days, "the settings' retention")
    return loaded


def flag(key: str) -> str:
    """Return the flag of a key."""
    return "--" + key.replace(".", "-").replace("_", "-")


def settings_of_both() -> Iterator[Setting]:
    """Yield the settings of the collector, and then of the evaluator."""
    for cls in (CollectorSettings, EvaluatorSettings):
        yield from settings_of(cls)


def variable(key: str) -> str:
    """Return the name of the environment variable of a key."""
    return PREFIX + key.replace(".", "_").upper()


def is_link(name: str, text: str) -> bool:
    """Tell whether a variable is Kubernetes' of a service: ``CUBE_PORT=tcp://10.0.0.1:1080``, and no port."""
    return name.endswith("_PORT") and _LINK.fullmatch(text) is not None


def unknown_variables(environ: Mapping[str, str], keys: list[str]) -> list[str]:
    """Return a sentence for each variable that begins with ``CUBE_`` and that nobody knows.

    ``keys``: of the settings of both daemons. Such a variable stops nothing: what it is for may be
    somebody else's business, but a misspelt one should be seen.
    """
    known = {variable(key) for key in keys}
    return [
        f"Got the environment variable {name}, which is not a setting{_hint(name, known, PREFIX)}; it is"
        " ignored."
        for name, text in environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OTHERS.fullmatch(name)
        and not is_link(name, text)
    ]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidSettings(
            f"{message[:1].upper()}{message[1:]}; `{self.prog} --help` lists what is accepted."
        )


def _from_flags(
    cls: type[DaemonSettings], settings: Mapping[str, Setting], argv: Sequence[str]
) -> dict[str, str]:
    given, unknown = _parser(cls, settings.values()).parse_known_args(argv)
    if unknown:
        name = unknown[0].partition("=")[0]
        raise _unknown(f"the argument {name}", name, map(flag, settings))
    return vars(given)


def _parser(cls: type[DaemonSettings], settings: Iterable[Setting]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=cls.program,
        description=f"{cls.__doc__} Each can be given in the file (its key), in the environment"
        " (CUBE_ and the key in capitals, dots as underlines) or as a flag; the later one wins.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    told = f"{cls.program} {version('cube-events')}"
    parser.add_argument("--version", action="version", version=told, help="Tell the version.")
    parser.add_argument("--config", metavar="FILE", default=None, help="The TOML file of settings.")
    for setting in settings:
        shown = ",".join(setting.default) if isinstance(setting.default, tuple) else setting.default
        text = f"{setting.rule.help} [{setting.key}; default: {shown if shown != '' else 'none'}]"
        parser.add_argument(
            flag(setting.key),
            dest=setting.key,
            metavar=setting.key.rpartition(".")[2].upper(),
            nargs="?" if setting.kind is bool else None,
            const="true" if setting.kind is bool else None,
            help=text.replace("%", "%%"),
        )
    return parser


def _from_environment(
    settings: Mapping[str, Setting], environ: Mapping[str, str]
) -> Iterator[tuple[str, Scalar]]:
    """Yield the settings that stand in the environment; raises `InvalidSettings` for a bad value."""
    for key, setting in settings.items():
        name = variable(key)
        if name in environ and not is_link(name, environ[name]):
            yield key, setting.read(environ[name], name)


def _from_file(settings: Mapping[str, Setting], path: str) -> Iterator[tuple[str, Value]]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path is all that is given
            table = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"The settings file {path} cannot be read: {error}.") from None
    environments = table.pop("environments", {})
    if not isinstance(environments, dict):
        raise InvalidSettings(
            f"Got environments from {path} that are not tables; accepted is [environments.NAME]."
        )
    yield from zip(("environments", "keys"), read_environments(environments, path), strict=True)
    either = {setting.key: setting for setting in settings_of_both()}
    groups = {key.partition(".")[0] for key in either if "." in key}
    for key, value in _flat(table, groups):
        if key not in either:
            raise _unknown(f"the key {key} in {path}", key, settings)
        checked = (settings.get(key) or either[key]).check(value, path)
        if key in settings:  # one file may serve both daemons
            yield key, checked


def _flat(table: Mapping[str, Any], groups: set[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and not prefix and name in groups:
            yield from _flat(value, groups, f"{name}.")
        else:
            yield prefix + name, value


def _unknown(what: str, name: str, known: Iterable[str]) -> InvalidSettings:
    hint = _hint(name, known)
    return InvalidSettings(f"Got {what}, which is not a setting{hint}; --help lists what is accepted.")


def _hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    own = [other.removeprefix(prefix) for other in known]  # the prefix would make all alike
    near = difflib.get_close_matches(name.removeprefix(prefix), own, n=1)
    return f" (did you mean {prefix}{near[0]}?)" if near else ""


def _build(cls: type[S], values: Mapping[str, Value], prefix: str = "") -> S:
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for field in fields(cls):
        if is_dataclass(hints[field.name]):
            arguments[field.name] = _build(cast("type[Any]", hints[field.name]), values, f"{field.name}.")
        elif prefix + field.name in values:
            arguments[field.name] = values[prefix + field.name]
    return cls(**arguments)
