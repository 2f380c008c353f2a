"""What a store keeps beside events and metrics: names, texts with revisions, deletions, reports, keys.

Errors are those of `cube.store.ports`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from cube.errors import Conflict
from cube.model import instant
from cube.model.deletion import Deletion
from cube.model.environment import Key

NO_REVISION: Final = 0
"""Of a board that must not be there yet."""

ANY_REVISION: Final = -1
"""Of a board that must be there, and may be any."""

FORGOTTEN_SECONDS: Final = 24 * 3600
"""What a process told of itself, and neither renewed nor removed, is forgotten after so long."""

MOST_REPORTS: Final = 1_000
"""So many of what processes told are read, the latest: those that end again and again may leave more."""


class Names(Protocol):
    """Groups of names, each with a limit, that all processes of a database share."""

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        """Add names to a group, in order, while it has fewer than `limit`; return all that it has then.

        Durable, and never undone: a name that is in a group stays in it, and a full group stays full.
        """


@dataclass(frozen=True, slots=True)
class StoredText:
    """A text that is kept under a name: ``content`` is that of a `cube.model.board.Board`, or an expression.

    ``revision``: from 1 to 2**53 - 1; a random one for each save, so that a text that was deleted and made
    anew never has one that it had before. ``saved``: when, and ``by`` the id of the key that did; "" without
    one. ``opened``: about when it was looked at last.
    """

    name: str
    revision: int
    saved: int
    content: str
    by: str = ""
    opened: int = 0


StoredBoard: TypeAlias = StoredText

StoredDefinition: TypeAlias = StoredText
"""``content``: the expression as it was written."""


def text_conflict(what: str, name: str, present: StoredText | None) -> Conflict:
    """Make the error of a text that is not at the revision that was expected of it; ``what``: "board" …"""
    if present is None:
        error = Conflict(f"The {what} {name} is not there: read the list again, or make it.")
        error.details.update(revision=None, saved=None, by=None)
        return error
    saved = instant.format(present.saved)
    whose = f", saved at {saved}" + (f" with the key {present.by}" if present.by else "")
    error = Conflict(
        f"The {what} {name} is at revision {present.revision} now{whose}: read it, and change that."
    )
    error.details.update(revision=present.revision, saved=saved, by=present.by)
    return error


class TextStore(Protocol):
    """The boards, or the definitions, of an environment, each with a revision that a change has to know.

    ``expected``: the revision that the caller knows it by; `ANY_REVISION`: whatever it is, `NO_REVISION`: it
    must not be there. Where that is not so, `Conflict` is raised, which tells the present one (None: it is
    not there), and nothing is changed.
    """

    async def all(self) -> list[StoredText]:
        """Return all of them, by name."""

    async def find(self, name: str) -> StoredText | None:
        """Return one of them; None where there is none of that name."""

    async def save(self, text: StoredText, expected: int, most: int) -> None:
        """Store one durably; raises `InvalidRequest` for a new one where there are about ``most``."""

    async def delete(self, name: str, expected: int) -> None:
        """Remove one durably; what is not there is a `Conflict`."""

    async def note_opened(self, name: str, time: int) -> None:
        """Note when one was looked at, if it is there; its revision stays."""


BoardStore: TypeAlias = TextStore

DefinitionStore: TypeAlias = TextStore


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What a daemon's process last told of itself: ``content`` is JSON text (`cube.store.status`).

    ``age_ms``: how long ago it was put, by the store's own clock; never negative.
    """

    process: str
    age_ms: int
    content: str


class ReportStore(Protocol):
    """What the processes of an environment's daemons tell of themselves. Losing it costs nothing but a view.

    A put is small, does not wait for writes of events, and need not outlive a crash of the store.
    """

    async def put(self, process: str, content: str) -> None:
        """Keep what a process tells, in place of what it told before; ``process``: letters, digits and -."""

    async def all(self) -> list[StoredReport]:
        """Return the latest `MOST_REPORTS` not removed and not `FORGOTTEN_SECONDS` old, by process."""

    async def remove(self, process: str) -> None:
        """Forget a process; one that is not known is no error."""

    async def versions(self) -> Mapping[str, str]:
        """Return the versions of what the store is made of, by name: of a driver, a library, a server."""


class DeletionStore(Protocol):
    """What was deleted by expressions: what had been accepted before, and comes later, is not stored.

    Kept durably, by expression and stop, for `cube.model.deletion.DELETION_DAYS`.
    """

    async def note(self, deletion: Deletion) -> None:
        """Add a deletion to that of the same expression and stop, if there is one, and forget old ones.

        The earlier start and the later time count, and the numbers of events are added up.
        """

    async def all(self) -> list[Deletion]:
        """Return all that are kept, by time."""

    async def stamp(self, type: str) -> int:
        """Return a number that each note of a type changes, for what is kept of its events; 0 without any."""


class KeyStore(Protocol):
    """The API keys that are managed beside the settings, see `cube.model.environment.Key`."""

    async def all(self) -> list[Key]:
        """Return all keys, ordered by environment and id."""

    async def were_added(self) -> bool:
        """Tell whether there has ever been one: then a lack of keys opens nothing."""

    async def add(self, key: Key) -> None:
        """Store a key durably; raises `InvalidRequest` where its environment has one of that id."""

    async def revoke(self, environment: str, id: str) -> bool:
        """Remove a key durably; tell whether it was there."""
