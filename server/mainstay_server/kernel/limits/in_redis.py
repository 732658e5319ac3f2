"""Buckets in a Redis (or Valkey) that all processes share: one script, one round trip a verdict."""

import hashlib
from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mainstay_server.kernel.problems import Unavailable

from .gcra import KEPT_FULL_US, SET_BACK_US, Bucket, Verdict, charge_of, judge

PREFIX = "mainstay:limits:"
CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 0.5
ITS_OWN_CLOCK = -1
KEPT_FULL_MS = KEPT_FULL_US // 1000

# ARGV: now in microseconds or -1 for Redis' own clock, then charge and tolerance of each key.
# Numbers of Lua are doubles, exact up to 2^53; written out by %.0f, since its own way is shorter.
TAKE = f"""
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local tats, admitted = {{}}, 1
for i, key in ipairs(KEYS) do
  local tat = math.max(now, tonumber(redis.call('GET', key) or 0))
  if tat - now > tonumber(ARGV[2 * i + 1]) + {SET_BACK_US} then tat = now end
  if tat - now + tonumber(ARGV[2 * i]) > tonumber(ARGV[2 * i + 1]) then admitted = 0 end
  tats[i] = tat
end
if admitted == 1 then
  for i, key in ipairs(KEYS) do
    local charge = tonumber(ARGV[2 * i])
    if charge > 0 then
      tats[i] = tats[i] + charge
      local keep = math.ceil((tats[i] - now) / 1000) + {KEPT_FULL_MS}
      redis.call('SET', key, string.format('%.0f', tats[i]), 'PX', string.format('%.0f', keep))
    end
  end
end
for i, tat in ipairs(tats) do tats[i] = tat - now end
return {{admitted, tats}}
"""
TAKE_SHA = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()  # Redis' own choice


class RedisBuckets:
    """One client for all threads. Verdicts go by Redis' clock, or in tests by the one given."""

    name = "redis"
    inline = False

    def __init__(self, url: str, *, own_clock: bool) -> None:
        self._own_clock = own_clock
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # Once more, at once, where a resting connection had died: nothing was charged yet.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )

    def take(self, buckets: Sequence[Bucket], *, cost: int, now_us: int) -> Verdict:
        """Charge all of the buckets or none. Raises `Unavailable`."""
        said: list[str | int] = [PREFIX + bucket.key for bucket in buckets]
        said.append(ITS_OWN_CLOCK if self._own_clock else now_us)
        for bucket in buckets:
            said += (charge_of(bucket, cost), bucket.rate.tolerance_us)
        try:
            answer = self._asked(len(buckets), said)
        except redis.RedisError as error:
            raise Unavailable(
                f"Redis makes no verdicts on limits ({error}); check MAINSTAY_SHARED_URL."
            ) from error
        admitted, ahead_us = answer
        # How far ahead it is counts, not when that was: the clocks of two machines differ.
        return judge(buckets, ahead_us, cost=cost, admitted=bool(admitted))

    def _asked(self, count: int, said: Sequence[str | int]) -> Any:  # noqa: ANN401 - a nested list
        """What the script answers; a Redis that does not know it yet is told it."""
        try:
            return self._client.evalsha(TAKE_SHA, count, *said)
        except redis.exceptions.NoScriptError:
            return self._client.eval(TAKE, count, *said)

    def close(self) -> None:
        """End the connections."""
        self._client.close()
