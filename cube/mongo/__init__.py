"""The store on MongoDB: the only importer of pymongo and bson.

Only calls that PyMongo's asynchronous API and Motor share are used, so that an application may hand
in a Motor client. How the documents look is told in `cube.mongo.layout`.
"""

from cube.mongo.keys import MongoKeys
from cube.mongo.sharding import commands as sharding_commands
from cube.mongo.sharding import shard
from cube.mongo.store import Client, connect, disconnect, holds_anything, open_store

__all__ = [
    "Client",
    "MongoKeys",
    "connect",
    "disconnect",
    "holds_anything",
    "open_store",
    "shard",
    "sharding_commands",
]
