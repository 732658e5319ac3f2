"""Buckets inside one process: the quickest, and what the others fall back on."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

from .gcra import KEPT_FULL_US, SET_BACK_US, Bucket, Verdict, judge

MOST_BUCKETS = 200_000
SWEPT_PER_NEW_BUCKET = 8


class MemoryBuckets:
    """A bounded dictionary of tats, safe for threads.

    Whenever a bucket is new, the eight that were looked at longest ago are looked at, and those
    that are full again leave: a full bucket and none are the same. When there are too many all the
    same, the one of the eight that is nearest to full leaves, and its owner gets back the little
    that was used. A flood of new addresses thus pushes out its own buckets rather than those of
    whom a limit holds back.
    """

    name = "memory"
    inline = True

    def __init__(self, *, most_buckets: int = MOST_BUCKETS) -> None:
        self._most = most_buckets
        self._lock = threading.Lock()
        self._tats: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tats)

    def take(self, buckets: Sequence[Bucket], *, cost: int, now_us: int) -> Verdict:
        """Charge all of the buckets or none."""
        known = self._tats
        ahead_us = []
        admitted = True
        with self._lock:
            for bucket in buckets:
                ahead = max(known.get(bucket.key, now_us) - now_us, 0)
                rate = bucket.rate
                if ahead > rate.tolerance_us + SET_BACK_US:
                    ahead = 0
                if ahead + rate.period_us * bucket.cost * cost > rate.tolerance_us:
                    admitted = False
                ahead_us.append(ahead)
            if admitted:
                for place, bucket in enumerate(buckets):
                    charge = bucket.rate.period_us * bucket.cost * cost
                    if charge:
                        ahead_us[place] += charge
                        self._keep(bucket.key, now_us + ahead_us[place], now_us)
        return judge(buckets, ahead_us, cost=cost, admitted=admitted)

    def follow(self, buckets: Sequence[Bucket], verdict: Verdict, *, now_us: int) -> None:
        """Take over how buckets stand elsewhere, so that nobody's begin anew when that is away."""
        with self._lock:
            for bucket, standing in zip(buckets, verdict.standings, strict=True):
                if standing.full_in_us:
                    self._keep(bucket.key, now_us + standing.full_in_us, now_us)

    def close(self) -> None:
        """Forget everything."""
        self._tats.clear()

    def _keep(self, key: str, tat: int, now_us: int) -> None:
        before = len(self._tats)
        self._tats[key] = tat
        if len(self._tats) == before:
            return
        oldest = list(islice(self._tats.items(), SWEPT_PER_NEW_BUCKET))
        for each, its_tat in oldest:
            if its_tat <= now_us - KEPT_FULL_US:
                del self._tats[each]
            else:
                self._tats.move_to_end(each)
        if len(self._tats) > self._most:
            nearest, _ = min(oldest, key=lambda item: item[1])
            del self._tats[nearest]
