"""Store URLs: ``mongodb://…``, ``mongodb+srv://…`` or ``sqlite:DIRECTORY``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from cube.errors import InvalidSettings, shown


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Which store, and where.

    ``location``: for "sqlite" the directory; for "mongodb" the whole URL, as drivers take it.
    """

    scheme: Literal["mongodb", "sqlite"]
    location: str

    @property
    def is_local(self) -> bool:
        """Whether it is files of this machine: it needs no spool, and no server can be away or sharded."""
        return self.scheme == "sqlite"

    @classmethod
    def parse(cls, text: str) -> StoreUrl:
        """Read a store URL; raises `InvalidSettings` for any other text, password left out."""
        scheme, _, rest = text.partition(":")
        match scheme:
            case "mongodb" | "mongodb+srv" if rest.startswith("//") and len(rest) > 2:
                return cls("mongodb", text)
            case "sqlite" if rest.removeprefix("//"):
                return cls("sqlite", rest.removeprefix("//"))
        raise InvalidSettings(
            f"Got the store {shown(cls.shown(text))}; accepted are mongodb://HOST:PORT and sqlite:DIRECTORY."
        )

    @staticmethod
    def shown(text: str) -> str:
        """Return a store URL without user, password and options, of which one may be a password.

        A password may hold unescaped characters: nothing before the last ``@`` is shown, and where that
        stands behind a ``?`` nothing at all is.
        """
        scheme, colon, rest = text.partition(":")
        if not colon or scheme == "sqlite":
            return text
        slashes = "//" if rest.startswith("//") else ""
        before, _, hosts = rest.removeprefix(slashes).rpartition("@")
        return f"{scheme}:{slashes}{'...' if '?' in before else hosts.partition('?')[0]}"


def refuse_foreign(url: str, foreign: Collection[str]) -> None:
    """Raise `InvalidSettings` where types are foreign in a local store, into which only Cube writes.

    Obeyed they would cost every cache, passed over they would mislead.
    """
    if foreign and StoreUrl.parse(url).is_local:
        raise InvalidSettings(
            f"Got foreign = {shown(list(foreign))} with the store {url}; accepted is no foreign type there:"
            " only Cube writes into a store on this machine."
        )
