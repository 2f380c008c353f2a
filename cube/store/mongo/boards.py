"""The boards: ``cube_boards``, with the documents of `cube.store.mongo.layout`."""

from __future__ import annotations

from typing import Any

from pymongo.errors import DuplicateKeyError

from cube.errors import InvalidRequest
from cube.store.mongo.faults import answered, fetched, written
from cube.store.mongo.layout import Document, Layout
from cube.store.ports import ANY_REVISION, NO_REVISION, StoredBoard, board_conflict


class MongoBoards:
    """A `BoardStore` for any number of processes on one database.

    Each change is one write that names the revision in its filter, so no two processes make it at once.
    """

    def __init__(self, layout: Layout) -> None:
        self._boards = layout.own("boards")

    async def all(self) -> list[StoredBoard]:
        """Return all boards, by name."""
        found = await fetched(self._boards.find({}))
        return sorted(map(_board, found), key=lambda board: board.name)

    async def find(self, name: str) -> StoredBoard | None:
        """Return one board."""
        async with answered():
            found = await self._boards.find_one({"_id": name})
        return None if found is None else _board(found)

    async def save(self, board: StoredBoard, expected: int, most: int) -> None:
        """Store a board where its revision is still the expected one."""
        if expected == NO_REVISION:
            done = await self._insert(board, most)
        else:
            async with written():
                replaced = await self._boards.replace_one(_known(board.name, expected), _document(board))
            done = replaced.matched_count == 1
        if not done:
            await self._refuse(board.name, board.revision)

    async def delete(self, name: str, expected: int) -> None:
        """Remove a board, likewise."""
        async with written():
            removed = await self._boards.delete_one(_known(name, expected))
        if removed.deleted_count == 0:
            await self._refuse(name)

    async def note_opened(self, name: str, time: int) -> None:
        """Note when a board was looked at."""
        async with written():
            await self._boards.update_one({"_id": name}, {"$max": {"opened": time}})

    async def _insert(self, board: StoredBoard, most: int) -> bool:
        async with answered():
            count = await self._boards.count_documents({})
        if count >= most and await self.find(board.name) is None:
            raise InvalidRequest(f"There are {count} boards already; accepted are {most}: delete one first.")
        try:
            async with written():
                await self._boards.insert_one(_document(board))
        except DuplicateKeyError:
            return False
        return True

    async def _refuse(self, name: str, own: int | None = None) -> None:
        """Raise a `Conflict`, unless what is there is our own first try, whose reply was lost."""
        found = await self.find(name)
        if found is None or found.revision != own:
            raise board_conflict(name, found)


def _known(name: str, expected: int) -> Document:
    return {"_id": name} if expected == ANY_REVISION else {"_id": name, "revision": expected}


def _document(board: StoredBoard) -> Document:
    return {
        "_id": board.name,
        "revision": board.revision,
        "saved": board.saved,
        "content": board.content,
        "by": board.by,
        "opened": board.opened,
    }


def _board(document: dict[str, Any]) -> StoredBoard:
    # BSON's long is a subclass of int, which the JSON encoder refuses.
    revision, saved, opened = (int(document[name]) for name in ("revision", "saved", "opened"))
    return StoredBoard(document["_id"], revision, saved, document["content"], document["by"], opened)
