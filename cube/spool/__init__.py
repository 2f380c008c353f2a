"""The spool: events on the collector's own disk while their store is away.

A directory holds SQLite files of each process and database (see `cube.spool.directory` for the names).
`Spool` is what a collector has of one database, `Replayer` moves its records to the store, and
`inspect_all` looks at files that somebody else may own.
"""

from cube.spool.directory import Inspected, inspect_all, quarantined, store_mark
from cube.spool.replayer import Replayer
from cube.spool.segments import Head, Ticket
from cube.spool.spool import Spool
