"""Have Redis tell of every key that changes (``CLIENT TRACKING`` in broadcast mode)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

CLOSING_SECONDS: Final = 1.0
_CHANNEL = "__redis__:invalidate"


@contextlib.asynccontextmanager
async def invalidations(url: str, *, prefix: str, timeout_seconds: float) -> AsyncIterator[Any]:
    """Give a channel that names the keys under a prefix which were changed by whomever.

    Raises what redis-py, asyncio and the network raise when there is no such Redis.
    """
    options: Any = {
        "socket_connect_timeout": timeout_seconds,
        "client_name": "mainstay-cache-listener",
        # The form of the messages that is read.
        "protocol": 2,
        # It must not connect again by itself: it would listen to a Redis that tells nothing.
        "retry": Retry(NoBackoff(), 0),
    }
    client = redis.asyncio.Redis.from_url(url, **options)
    channel: Any = client.pubsub()
    try:
        await asyncio.wait_for(_subscribe(channel, prefix), timeout_seconds)
        yield channel
    finally:
        with contextlib.suppress(RedisError, OSError, asyncio.TimeoutError):
            await asyncio.wait_for(channel.aclose(), CLOSING_SECONDS)
            await asyncio.wait_for(client.aclose(), CLOSING_SECONDS)


async def _subscribe(channel: Any, prefix: str) -> None:  # noqa: ANN401 - half typed
    await channel.execute_command("CLIENT", "ID")
    number = await channel.parse_response()
    asked = ("TRACKING", "ON", "REDIRECT", str(number), "BCAST", "PREFIX", prefix)
    await channel.execute_command("CLIENT", *asked)
    await channel.parse_response()
    await channel.subscribe(_CHANNEL)
