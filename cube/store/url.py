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
        scheme, colon, rest = text.partition(":")
        match scheme:
            case "mongodb" | "mongodb+srv" if rest.startswith("//") and len(rest) > 2:
                return cls("mongodb", text)
            case "sqlite" if rest.removeprefix("//"):
                return cls("sqlite", rest.removeprefix("//"))
        got = cls.shown(text) if colon else text
        raise InvalidSettings(
            f"Got the store {shown(got)}; accepted are mongodb://HOST:PORT and sqlite:DIRECTORY."
        )

    @staticmethod
    def shown(text: str) -> str:
        """Return a store URL with its user and password left out, fit for a log."""
        head, slashes, rest = text.partition("//")
        credentials, at, host = rest.rpartition("@")
        return f"{head}{slashes}…@{host}" if at and credentials else text


def refuse_foreign(url: str, foreign: Collection[str]) -> None:
    """Raise `InvalidSettings` where types are foreign in a local store, into which only Cube writes.

    Obeyed they would cost every cache, passed over they would mislead.
    """
    if foreign and StoreUrl.parse(url).is_local:
        raise InvalidSettings(
            f"Got foreign = {shown(list(foreign))} with the store {url}; accepted is no foreign type there:"
            " only Cube writes into a store on this machine."
        )


def without_credentials(url: str) -> str:
    """Return a store URL without user, password and options, for messages.

    A password may hold unescaped characters: nothing before the last ``@`` is shown, and where that
    stands behind a ``?`` nothing at all is.
    """
    scheme, _, rest = url.partition("://")
    before, _, hosts = rest.rpartition("@")
    return f"{scheme}://..." if "?" in before else f"{scheme}://{hosts.partition('?')[0]}"
