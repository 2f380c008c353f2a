"""Texts written from the settings: the files of ``config/``, and the tables of ``docs/reference.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from cube.settings.daemons import DaemonSettings
from cube.settings.environments import EnvironmentSettings, KeySettings
from cube.settings.setting import Scalar, Setting, settings_of

_EXAMPLE = """
# Environments, each with a database and keys of its own, stand in this file alone. Without any there
# is one, "default", in the database above. A table as follows for each, and one for each of its keys:
"""


def commented_toml(cls: type[DaemonSettings]) -> str:
    """Return a TOML file with every setting of a daemon, its default and a comment."""
    head = (
        f"# {cls.__doc__} Those below are the defaults.\n"
        "# An environment variable (CUBE_ and the key in capitals, dots as underlines) overrides this\n"
        f"# file, and a flag overrides both; bin/{cls.program} --help lists them.\n"
    )
    return head + "".join(_entries(cls)) + _EXAMPLE + "".join(_examples())


def markdown_table(cls: type[DaemonSettings | EnvironmentSettings | KeySettings]) -> str:
    """Return a Markdown table with every setting of a class."""
    rows = [
        f"| `{setting.key}` | {'' if setting.default in ('', ()) else f'`{_toml(setting.default)}`'} |"
        f" {setting.rule.help} |\n"
        for setting in settings_of(cls)
    ]
    return "| key | default | |\n|---|---|---|\n" + "".join(rows)


def _entries(cls: type[DaemonSettings]) -> Iterator[str]:
    table = ""
    # A TOML file cannot go back from a table to the keys at the top, so those come first.
    for setting in sorted(settings_of(cls), key=lambda setting: setting.key.count(".")):
        group, _, name = setting.key.rpartition(".")
        if group != table:
            table = group
            yield f"\n[{group}]\n"
        yield f"\n{_comment(setting)}\n{name} = {_toml(setting.default)}\n"


def _examples() -> Iterator[str]:
    for head, cls in (
        ("[environments.prod]", EnvironmentSettings),
        ("[[environments.prod.keys]]", KeySettings),
    ):
        yield f"\n# {head}\n"
        for setting in settings_of(cls):
            yield f"#\n{_comment(setting)}\n# {setting.key} = {_toml(setting.default)}\n"


def _comment(setting: Setting) -> str:
    text = f"{setting.rule.help} Accepted: {setting.accepted}."
    return textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Scalar) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return f"{value:_}" if isinstance(value, int) and value >= 100_000 else repr(value)
