"""The four places where limits are counted, each a real one, for the tests of limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mainstay_server.kernel.database import Base, close_database, engine, open_database
from mainstay_server.kernel.limits.in_memory import MemoryBuckets
from mainstay_server.kernel.limits.in_redis import RedisBuckets
from mainstay_server.kernel.limits.in_sql import SqlBuckets
from mainstay_server.kernel.limits.limiter import Buckets
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis

STORES = ("memory", "sqlite", "redis", "postgres")


@dataclass(frozen=True)
class Place:
    """Where limits are counted; `store` goes by the clock it is given."""

    kind: str
    url: str
    store: Buckets


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Place]:
    """An empty place of a kind."""
    if kind == "memory":
        yield Place(kind, "memory://", MemoryBuckets())
    elif kind == "redis":
        with running_redis() as server:
            buckets = RedisBuckets(server.url, own_clock=False)
            yield Place(kind, server.url, buckets)
            buckets.close()
    elif kind == "sqlite":
        yield from _database(kind, f"sqlite:///{folder / 'limits.db'}")
    else:
        with running_postgres() as server:
            yield from _database(kind, server.url_of(server.new_database()))


def _database(kind: str, url: str) -> Iterator[Place]:
    open_database(url)
    Base.metadata.create_all(engine())
    try:
        yield Place(kind, url, SqlBuckets(own_clock=False))
    finally:
        close_database()
