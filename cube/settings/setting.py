"""What a setting is: a field of a frozen dataclass that knows its help and its bounds."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from cube.errors import InvalidSettings, shown

Scalar: TypeAlias = "str | int | float | bool | tuple[str, ...]"
T = TypeVar("T", bound=Scalar)

_TRUTHS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting accepts beyond its type.

    ``low``, ``high``: inclusive bounds of a number. ``choices``: the only texts. ``pattern``: what a
    text, or each text of a list, must match in full.
    """

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None


def setting(
    default: T,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: str | None = None,
) -> T:
    """Declare a field of a settings class, with its default and its `Rule`."""
    rule = Rule(help, low, high, choices, pattern)
    field: T = dataclasses.field(default=default, metadata={"rule": rule})
    return field


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a daemon.

    ``key``: its name in a file; a dot leads into a group (``limits.event_bytes``).
    ``kind``: str, int, float, bool, or tuple for a list of texts.
    """

    key: str
    kind: type
    default: Scalar
    rule: Rule

    @property
    def accepted(self) -> str:
        """Say what values are accepted, as the end of a sentence."""
        if self.rule.choices:
            return "one of " + ", ".join(self.rule.choices)
        kinds = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
        words = kinds.get(self.kind, "a list of texts")
        if self.rule.pattern:
            words += f" that {'matches' if self.kind is str else 'match'} {self.rule.pattern}"
        if self.rule.low is not None and self.rule.high is not None:
            return f"{words} from {self.rule.low:.16g} to {self.rule.high:.16g}"
        return words if self.rule.low is None else f"{words}, at least {self.rule.low:.16g}"

    def check(self, value: object, origin: str) -> Scalar:
        """Return a value as a TOML file holds it, if it is accepted.

        ``origin`` tells where it came from. Raises `InvalidSettings`.
        """
        typed = self._typed(value)
        if typed is None or not self._within(typed):
            raise InvalidSettings(
                f"Got {self.key} = {shown(value)} from {origin}; accepted is {self.accepted}."
            )
        return typed

    def read(self, text: str, origin: str) -> Scalar:
        """Return the value of a text, as an environment variable or a flag has it.

        A list is separated by commas. Raises `InvalidSettings`.
        """
        return self.check(self._from_text(text), origin)

    def _from_text(self, text: str) -> object:
        if self.kind is bool:
            return _TRUTHS.get(text.lower(), text)
        if self.kind is tuple:
            return [part.strip() for part in text.split(",") if part.strip()]
        if self.kind is str or "_" in text:  # Python's own 1_000 is not for users
            return text
        try:
            return self.kind(text)
        except ValueError:
            return text

    def _typed(self, value: object) -> Scalar | None:
        if self.kind is tuple:
            texts = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
            return tuple(cast("list[str]", value)) if texts else None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return cast("Scalar", value) if type(value) is self.kind else None

    def _within(self, value: Scalar) -> bool:
        rule = self.rule
        if isinstance(value, int | float):
            low = -float("inf") if rule.low is None else rule.low
            return low <= value <= (float("inf") if rule.high is None else rule.high)
        texts = (value,) if isinstance(value, str) else value
        if rule.choices and not set(texts) <= set(rule.choices):
            return False
        return rule.pattern is None or all(re.fullmatch(rule.pattern, text, re.ASCII) for text in texts)


def settings_of(cls: type[Any], prefix: str = "") -> Iterator[Setting]:
    """Yield the settings of a settings class in the order of its fields, groups included."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from settings_of(cast("type[Any]", kind), f"{prefix}{field.name}.")
        elif "rule" in field.metadata:
            default, rule = cast("Scalar", field.default), cast("Rule", field.metadata["rule"])
            yield Setting(prefix + field.name, typing.get_origin(kind) or kind, default, rule)
