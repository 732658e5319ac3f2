"""Buckets in Redis, shared by all processes: one script decides, a breaker spares a sick one."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from mainstay._internal.guard.limits import Buckets, Charge, Decision, Standing, standing_of
from mainstay._internal.shield import logger

TIMEOUT_SECONDS: Final = 0.05
_MOST_CONNECTIONS = 50
_FAILURES_UNTIL_OPEN = 3
_OPEN_SECONDS = 1.0
_PREFIX = "mainstay:guard:"

# A bucket is kept a minute longer than it matters, for a clock that is set back meanwhile.
# Lua counts in doubles, which hold these microseconds exactly until the year 2255. The time is
# Redis' own, so that processes need not agree on theirs; a test may pass one.
SCRIPT: Final = """
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local tats, fits, admitted = {}, {}, true
for i = 1, #KEYS do
  tats[i] = tonumber(redis.call('GET', KEYS[i]) or '0')
  if tats[i] - now > tonumber(ARGV[3 * i]) + 60000000 then tats[i] = 0 end
  fits[i] = math.max(tats[i], now) + tonumber(ARGV[3 * i - 1]) - now <= tonumber(ARGV[3 * i])
  if not fits[i] and ARGV[3 * i + 1] == '0' then admitted = false end
end
local reply = {now, admitted and 1 or 0}
for i = 1, #KEYS do
  if fits[i] and (admitted or ARGV[3 * i + 1] == '1') then
    tats[i] = math.max(tats[i], now) + tonumber(ARGV[3 * i - 1])
    if tats[i] > now then
      local ms = math.ceil((tats[i] - now) / 1000) + 60000
      redis.call('SET', KEYS[i], string.format('%.0f', tats[i]), 'PX', string.format('%.0f', ms))
    else
      redis.call('DEL', KEYS[i])
    end
  end
  reply[#reply + 1] = tats[i]
  reply[#reply + 1] = fits[i] and 1 or 0
end
return reply
"""
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
# Away in whatever way: refused, silent, loading, out of memory, no connection left.
_AWAY = (redis.RedisError, OSError, asyncio.TimeoutError)


class RedisStore:
    """Decides in Redis, within 50 ms or not at all.

    After three failures in a row Redis is left alone, and one request a second tries it again.
    What Redis says of a bucket is told to the process's own ``buckets``, so that these know how
    it stood should Redis go away. Redis older than 5 is not supported, since the script asks it
    for the time before it writes.
    """

    def __init__(
        self, url: str, buckets: Buckets, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._buckets = buckets
        self._timeout_seconds = timeout_seconds
        self._options: dict[str, Any] = {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "timeout": timeout_seconds,
            "max_connections": _MOST_CONNECTIONS,
            # A second try would cost a second time-out.
            "retry": Retry(NoBackoff(), 0),
        }
        pool = redis.BlockingConnectionPool.from_url(url, **self._options)
        self._client = redis.Redis(connection_pool=pool)
        self._async: tuple[asyncio.AbstractEventLoop, redis.asyncio.Redis] | None = None
        self._failures = 0
        self._next_try = 0.0

    def decide(self, charges: Sequence[Charge], now_us: int) -> Decision | None:
        """Charge all of them or none; None when Redis is away."""
        if not self._may_try():
            return None
        try:
            reply = self.run(charges)
        except _AWAY as error:
            self._failed(error)
            return None
        return self._worked(charges, reply, now_us)

    async def decide_async(self, charges: Sequence[Charge], now_us: int) -> Decision | None:
        """Do the same on the event loop."""
        if not self._may_try():
            return None
        try:
            reply = await asyncio.wait_for(self._run_async(charges), self._timeout_seconds)
        except _AWAY as error:
            self._failed(error)
            return None
        return self._worked(charges, reply, now_us)

    async def close_async(self) -> None:
        """Close the connections of this event loop."""
        if self._async is not None and self._async[0] is asyncio.get_running_loop():
            (_, client), self._async = self._async, None
            await client.connection_pool.disconnect()

    def close(self) -> None:
        """Close the connections of threads."""
        self._client.connection_pool.disconnect()

    def run(self, charges: Sequence[Charge], *, at_us: int = 0) -> list[int]:
        """Run the script; ``at_us`` is the time, or 0 for that of Redis."""
        arguments = _arguments(charges, at_us)
        try:
            reply = self._client.evalsha(_SHA, len(charges), *arguments)
        except NoScriptError:
            reply = self._client.eval(SCRIPT, len(charges), *arguments)
        return list(reply)

    async def _run_async(self, charges: Sequence[Charge]) -> list[int]:
        loop = asyncio.get_running_loop()
        if self._async is None or self._async[0] is not loop:
            pool = redis.asyncio.BlockingConnectionPool.from_url(self._url, **self._options)
            self._async = loop, redis.asyncio.Redis(connection_pool=pool)
        client = self._async[1]
        arguments = _arguments(charges, 0)
        try:
            reply: Any = await client.evalsha(_SHA, len(charges), *arguments)
        except NoScriptError:
            reply = await client.eval(SCRIPT, len(charges), *arguments)
        return list(reply)

    def _may_try(self) -> bool:
        if self._failures < _FAILURES_UNTIL_OPEN:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        # Only the one who moves the time on tries; the others go on without Redis meanwhile.
        self._next_try = now + _OPEN_SECONDS
        return True

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures == _FAILURES_UNTIL_OPEN:
            self._next_try = time.monotonic() + _OPEN_SECONDS
            # The class only: the message may hold the address with its password.
            logger.warning(
                "Redis is away (%s); limits hold by their own rules until it is back.",
                type(error).__name__,
            )

    def _worked(self, charges: Sequence[Charge], reply: list[int], now_us: int) -> Decision:
        if self._failures >= _FAILURES_UNTIL_OPEN:
            logger.warning("Redis is back; limits are shared again.")
        self._failures = 0
        decision = decision_of(charges, reply)
        for charge, tat in zip(charges, reply[2::2], strict=True):
            ahead_us = tat - reply[0]
            self._buckets.learn(charge.bucket, now_us + ahead_us, charge.tolerance_us, now_us)
        return decision


def decision_of(charges: Sequence[Charge], reply: list[int]) -> Decision:
    """Read what the script replied."""
    now, admitted, *rest = reply
    standings: list[Standing] = []
    simulated: list[Standing] = []
    for charge, tat, fits in zip(charges, rest[::2], rest[1::2], strict=True):
        standing = standing_of(charge, max(tat - now, 0), admitted=bool(fits))
        (simulated if charge.limit.simulate else standings).append(standing)
    return Decision(bool(admitted), standings, simulated)


def _arguments(charges: Sequence[Charge], at_us: int) -> list[str | int]:
    arguments: list[str | int] = [_PREFIX + charge.bucket for charge in charges]
    arguments.append(at_us)
    for charge in charges:
        arguments += (charge.amount_us, charge.tolerance_us, 1 if charge.limit.simulate else 0)
    return arguments
