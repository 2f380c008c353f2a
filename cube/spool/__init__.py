"""The spool: events on the collector's own disk while their store is away.

A directory holds one SQLite file per process and database, named
``<database>.<store>.<age>.spool.db`` (see `cube.spool.directory`). `Spool` is what a collector has of
one environment; `cube.spool.directory` finds the files of dead processes.
"""

from cube.spool.directory import Claimed, SpoolName, claim_all, listed
from cube.spool.file import FileState, SpoolFile
from cube.spool.record import Record
from cube.spool.spool import Head, Spool, Ticket

__all__ = [
    "Claimed",
    "FileState",
    "Head",
    "Record",
    "Spool",
    "SpoolFile",
    "SpoolName",
    "Ticket",
    "claim_all",
    "listed",
]
