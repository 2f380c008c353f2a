"""The store on MongoDB: the only importer of pymongo and bson.

Only calls that PyMongo's asynchronous API and Motor share are used, so that an application may hand
in a Motor client. How the documents look is told in `cube.store.mongo.layout`.
"""

from cube.store.mongo.records import MongoKeys
from cube.store.mongo.sharding import commands as sharding_commands
from cube.store.mongo.sharding import shard
from cube.store.mongo.store import Client, connect, disconnect, holds_anything, open_store
