"""Environments and their keys, as a settings file has them::

    [environments.prod]
    database = "cube_prod"
    origins = ["https://example.com"]

    [[environments.prod.keys]]
    name = "web"
    hash = "sha256:…"
    scopes = ["write"]

They stand in the file alone: neither flags nor environment variables can say them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, TypeVar

from cube.errors import InvalidSettings
from cube.model.environment import DEFAULT, Ages, Environment, Key, OriginPattern, Scope, digest, is_weak
from cube.settings.daemons import DATABASE, ORIGIN, TYPE, CollectorSettings, DaemonSettings
from cube.settings.setting import setting, settings_of

T = TypeVar("T")

NAME = "[A-Za-z0-9_-]{1,40}"
HASH_PREFIX = "sha256:"

_HASH = re.compile(HASH_PREFIX + "[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSettings:
    """One environment, ``[environments.NAME]``: a database of its own."""

    database: str = setting(
        "", f"Its database; empty: cube_NAME, and for {DEFAULT} the daemon's.", pattern=f"({DATABASE})?"
    )
    origins: tuple[str, ...] = setting(
        (), "Web origins that may call; empty: those of the daemon.", pattern=ORIGIN
    )
    open: bool = setting(False, "Takes requests without a key, and datagrams; one environment may.")
    past_days: float = setting(-1.0, "As horizon.past_days, for this environment; -1: the same.", low=-1)
    future_minutes: float = setting(-1.0, "As horizon.future_minutes; -1: the same.", low=-1)
    event_days: float = setting(-1.0, "As retention.event_days; -1: the same.", low=-1)
    metric_days: float = setting(-1.0, "As retention.metric_days; -1: the same.", low=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """One API key of an environment, ``[[environments.NAME.keys]]``."""

    name: str = setting("", "Names the key in logs; the key itself is never shown.", pattern=NAME)
    hash: str = setting("", "What `cube keys hash` prints for the key.")
    key: str = setting("", "The key itself, in place of its hash, where only the daemon reads the file.")
    scopes: tuple[str, ...] = setting(
        (Scope.READ, Scope.WRITE),
        "What it allows.",
        choices=tuple(Scope),
        pattern="read|write|delete",
    )
    types: tuple[str, ...] = setting((), "The types of events that it is for; empty: all.", pattern=TYPE)
    filter: str = setting(
        "",
        "Filters added to every expression that its holder evaluates, joined by dots: eq(customer, 7).",
    )


def read_environments(
    table: Mapping[str, Any], origin: str
) -> tuple[tuple[Environment, ...], tuple[Key, ...]]:
    """Read the table ``environments`` of a settings file; raises `InvalidSettings`."""
    environments: list[Environment] = []
    keys: list[Key] = []
    for name, entry in table.items():
        path = f"environments.{name}"
        if not re.fullmatch(NAME, name) or not isinstance(entry, Mapping):
            raise InvalidSettings(f"Got {path} from {origin}; accepted are tables with names of {NAME}.")
        own = {key: value for key, value in entry.items() if key != "keys"}
        environments.append(_environment(name, _read(EnvironmentSettings, own, path, origin)))
        listed = entry.get("keys", [])
        if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
            raise InvalidSettings(f"Got {path}.keys from {origin}; accepted is a list of tables.")
        keys += [_key(name, _read(KeySettings, item, f"{path}.keys", origin)) for item in listed]
    if sum(environment.open for environment in environments) > 1:
        raise InvalidSettings(f"Got more than one open environment from {origin}; accepted is one.")
    return tuple(environments), tuple(keys)


def environments_of(settings: DaemonSettings) -> tuple[Environment, ...]:
    """Return the environments of a daemon, at least one, with all that its settings say of each.

    Raises `InvalidSettings` where one keeps metrics shorter than events, or two share a database.
    """
    common = tuple(_patterns(settings.origins))
    own = settings.environments or (Environment(DEFAULT, settings.database),)
    environments = tuple(
        replace(
            environment,
            database=environment.database
            or (settings.database if environment.name == DEFAULT else f"cube_{environment.name}"),
            origins=environment.origins or common,
            ages=_ages(environment, settings),
        )
        for environment in own
    )
    _refuse_shared_databases(environments)
    return environments


def refuse_short_metrics(event_days: float, metric_days: float, where: str) -> None:
    """Raise `InvalidSettings` where metrics go before the events that they would be computed of again."""
    if 0 < metric_days < event_days:
        raise InvalidSettings(
            f"Got metric_days = {metric_days:g} of {where}; accepted is 0, or at least event_days, which is"
            f" {event_days:g}."
        )


def parse_hash(text: str) -> bytes | None:
    """Return the digest that a text of the form ``sha256:…`` holds; None for any other text."""
    return bytes.fromhex(text.removeprefix(HASH_PREFIX)) if _HASH.fullmatch(text) else None


def _environment(name: str, own: EnvironmentSettings) -> Environment:
    ages = (own.past_days, own.future_minutes, own.event_days, own.metric_days)
    known = Ages(*(None if age < 0 else age for age in ages))
    return Environment(name, own.database, tuple(_patterns(own.origins)), own.open, known)


def _ages(environment: Environment, settings: DaemonSettings) -> Ages:
    if not isinstance(settings, CollectorSettings):
        return environment.ages  # the evaluator has no use for them
    horizon, retention = settings.horizon, settings.retention
    common = (horizon.past_days, horizon.future_minutes, retention.event_days, retention.metric_days)
    own = astuple(environment.ages)
    ages = Ages(*(known if age is None else age for age, known in zip(own, common, strict=True)))
    refuse_short_metrics(ages.event_days or 0, ages.metric_days or 0, f"the environment {environment.name}")
    return ages


def _refuse_shared_databases(environments: tuple[Environment, ...]) -> None:
    owners: dict[str, str] = {}
    for environment in environments:
        # MongoDB, and some file systems, take names that differ only in case for one.
        owner = owners.setdefault(environment.database.casefold(), environment.name)
        if owner != environment.name:
            raise InvalidSettings(
                f"Got the database {environment.database} for the environments {owner} and"
                f" {environment.name}; accepted is one of its own for each."
            )


def _key(environment: str, own: KeySettings) -> Key:
    hashed = parse_hash(own.hash)
    if not own.name or bool(own.hash) == bool(own.key) or (own.hash and hashed is None):
        raise InvalidSettings(
            f"Got a key of the environment {environment} without a name, or without exactly one of key and"
            f" hash; accepted are name and key, or name and hash = {HASH_PREFIX}(64 hexadecimal digits)."
        )
    return Key(
        own.name,
        hashed if hashed is not None else digest(own.key),
        environment,
        frozenset(map(Scope, own.scopes)),
        frozenset(own.types) or None,
        own.filter,
        weak=bool(own.key) and is_weak(own.key),
    )


def _patterns(texts: tuple[str, ...]) -> Iterator[OriginPattern]:
    for text in texts:
        yield from OriginPattern.parse_all(text)


def _read(cls: type[T], table: Mapping[str, Any], path: str, origin: str) -> T:
    known = {item.key: item for item in settings_of(cls)}
    for name in table:
        if name not in known:
            raise InvalidSettings(
                f"Got the key {path}.{name} from {origin}; accepted are {', '.join(known)}."
            )
    return cls(**{name: known[name].check(value, f"{path} in {origin}") for name, value in table.items()})
