"""Environment variables: those that are settings, those of others, and those that nobody knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from cube.settings.setting import Scalar, Setting

PREFIX = "CUBE_"

# Not settings of a daemon: the settings file's, the tests', the command's, and what Kubernetes sets in
# every pod for each service whose name is "cube" or begins so, beside the links below.
_OTHERS = re.compile(
    r"CUBE_(CONFIG|KEY|TEST_\w+|COLLECTOR|EVALUATOR|(\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT_\d+_\w+)",
    re.ASCII,
)
_LINK = re.compile(r"(tcp|udp|sctp)://\S*", re.ASCII)


def variable(key: str) -> str:
    """Return the name of the environment variable of a key."""
    return PREFIX + key.replace(".", "_").upper()


def from_environment(
    settings: Mapping[str, Setting], environ: Mapping[str, str]
) -> Iterator[tuple[str, Scalar]]:
    """Yield the settings that stand in the environment; raises `InvalidSettings` for a bad value."""
    for key, setting in settings.items():
        name = variable(key)
        if name in environ and not is_link(name, environ[name]):
            yield key, setting.read(environ[name], name)


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
        f"Got the environment variable {name}, which is not a setting{_hint(name, known)}; it is ignored."
        for name, text in environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OTHERS.fullmatch(name)
        and not is_link(name, text)
    ]


def _hint(name: str, known: set[str]) -> str:
    own = {other.removeprefix(PREFIX) for other in known}  # the prefix would make all alike
    near = difflib.get_close_matches(name.removeprefix(PREFIX), own, n=1)
    return f" (did you mean {PREFIX}{near[0]}?)" if near else ""
