"""The ports on SQLite: the embedded default, for one machine.

`open_store` opens ``<database>.events.db`` (events and revisions, durable) and
``<database>.metrics.db`` (a cache, deletable at will) in a directory.
"""

from cube.store.sqlite.records import SqliteKeys
from cube.store.sqlite.store import SqliteStore, open_store
