"""Limits: how often something may be done, decided alike in memory, in Redis and in SQL.

A verdict is about one or several buckets at once: either all of them are charged or none.
"""

import importlib
from collections.abc import Sequence
from typing import Literal, cast

from .gcra import (
    Bucket,
    OnError,
    Rate,
    Standing,
    Verdict,
    bucket_key,
    microseconds,
)
from .in_sql import SqlBuckets, prune_limit_buckets
from .limiter import Buckets, Limiter, Stats
from .models import LimitBucket
from .settings import LimitSettings

__all__ = [
    "Bucket",
    "LimitBucket",
    "LimitSettings",
    "Limiter",
    "OnError",
    "Rate",
    "Standing",
    "Stats",
    "Verdict",
    "bucket_key",
    "close_limits",
    "limits_stats",
    "microseconds",
    "open_limits",
    "prune_limit_buckets",
    "take",
    "take_async",
]


class _Open:
    """The limiter of this process: until one is opened, its own memory, which needs no opening."""

    limiter = Limiter()


def open_limits(
    shared_url: str, *, store: Literal["shared", "database"] = "shared", own_clock: bool = True
) -> None:
    """Count limits where `store` says: at the shared URL, in memory or Redis, or in the database.

    `own_clock` lets Redis and PostgreSQL go by their own clocks, which are one where those of many
    machines are not; otherwise they go by the moments that are given. The store need not be there
    yet.
    """
    if store == "database":
        _Open.limiter = Limiter(SqlBuckets(own_clock=own_clock))
    elif shared_url.startswith("memory:"):
        _Open.limiter = Limiter()
    else:
        # Loaded when chosen, as the rest of what Redis needs.
        chosen = importlib.import_module(".in_redis", __package__)
        buckets = chosen.RedisBuckets(shared_url, own_clock=own_clock)
        _Open.limiter = Limiter(cast("Buckets", buckets))


def close_limits() -> None:
    """End connections; what was counted in memory is forgotten."""
    _Open.limiter.close()
    _Open.limiter = Limiter()


def take(buckets: Sequence[Bucket], *, cost: int = 1, now_us: int) -> Verdict:
    """Charge every bucket `cost` times its own cost, or none if one of them does not admit that.

    The keys of the buckets differ. Never raises because the store is away: then each bucket's
    `on_error` holds, and the verdict says that it is `degraded`. For threads; not to be called in
    a transaction that writes.
    """
    return _Open.limiter.take(buckets, cost=cost, now_us=now_us)


async def take_async(buckets: Sequence[Bucket], *, cost: int = 1, now_us: int) -> Verdict:
    """The same for the event loop, which it never holds up."""
    return await _Open.limiter.take_async(buckets, cost=cost, now_us=now_us)


def limits_stats() -> Stats:
    """What this process decided so far, and whether the store of the buckets is away."""
    return _Open.limiter.stats()
