"""Buckets in the relational store: one upsert each, in one short transaction a verdict."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.database import is_sqlite, rows_changed, transaction
from mainstay_server.kernel.jobs import job

from .gcra import KEPT_FULL_US, SET_BACK_US, Bucket, Verdict, charge_of, judge, microseconds
from .models import LimitBucket

# The start of the transaction on the database's own clock, the same for all buckets of a verdict.
ITS_CLOCK = "CAST(EXTRACT(EPOCH FROM transaction_timestamp()) * 1000000 AS BIGINT)"
GIVEN_CLOCK = "CAST(:now AS BIGINT)"
AHEAD = (
    "CASE WHEN limit_buckets.tat_us - {now}"
    f" BETWEEN 0 AND CAST(:tolerance AS BIGINT) + {SET_BACK_US}"
    " THEN limit_buckets.tat_us - {now} ELSE 0 END"
)
# A row comes back only if it admits. One that does not is locked all the same until the end.
CHARGE = f"""
INSERT INTO limit_buckets (key, tat_us) VALUES (:key, {{now}} + :charge)
ON CONFLICT (key) DO UPDATE SET tat_us = {{now}} + :charge + {AHEAD}
WHERE {AHEAD} + :charge <= :tolerance
RETURNING tat_us - {{now}}
"""  # noqa: S608 - made of constants; values are always parameters
LOOK = f"SELECT {AHEAD} FROM limit_buckets WHERE key = :key"  # noqa: S608 - same
MOST_FORGOTTEN = 20_000


class _Refused(Exception):
    """Ends the transaction of a verdict that charged some buckets and then met one that refuses."""


class SqlBuckets:
    """SQLite goes by the clock given; PostgreSQL by its own, or in tests by the one given."""

    name = "database"
    inline = False

    def __init__(self, *, own_clock: bool) -> None:
        now = ITS_CLOCK if own_clock and not is_sqlite() else GIVEN_CLOCK
        self._charge = sa.text(CHARGE.format(now=now))
        self._look = sa.text(LOOK.format(now=now))

    def take(self, buckets: Sequence[Bucket], *, cost: int, now_us: int) -> Verdict:
        """Charge all of the buckets or none. Raises `Unavailable`.

        Never call it inside a transaction that writes: on SQLite it would wait for itself.
        """
        ahead_us: dict[str, int] = {}
        admitted = True
        try:
            with transaction() as session:
                admitted = self._charge_all(session, buckets, ahead_us, cost=cost, now_us=now_us)
        except _Refused:
            admitted = False
        found = [ahead_us[bucket.key] for bucket in buckets]
        return judge(buckets, found, cost=cost, admitted=admitted)

    def close(self) -> None:
        """Nothing is held here."""

    def _charge_all(
        self,
        session: Session,
        buckets: Sequence[Bucket],
        ahead_us: dict[str, int],
        *,
        cost: int,
        now_us: int,
    ) -> bool:
        """Whether all admit; fills in how far ahead each is. What was charged in vain is undone."""
        charged: dict[str, int] = {}
        admitted = True
        # In one order everywhere, so that no two verdicts wait for each other.
        for bucket in sorted(buckets, key=lambda each: each.key):
            charge, tolerance = charge_of(bucket, cost), bucket.rate.tolerance_us
            about = {"key": bucket.key, "now": now_us, "tolerance": tolerance}
            asked = about | {"charge": charge}
            after = None
            if admitted and 0 < charge <= tolerance:
                after = session.scalar(self._charge, asked)
            if after is not None:
                charged[bucket.key], ahead_us[bucket.key] = charge, after
                continue
            ahead_us[bucket.key] = session.scalar(self._look, about) or 0
            if charge or ahead_us[bucket.key] > tolerance:
                admitted = False
        if not admitted and charged:
            for key, charge in charged.items():
                ahead_us[key] -= charge
            raise _Refused
        return admitted


@job(every=timedelta(minutes=10), task="cleanup")
def prune_limit_buckets(session: Session, *, now: datetime) -> int:
    """Delete the buckets that are full again; at most 20,000 at a time. Returns how many."""
    is_full = LimitBucket.tat_us < microseconds(now) - KEPT_FULL_US
    some = sa.select(LimitBucket.key).where(is_full).limit(MOST_FORGOTTEN)
    # Asked again of the row itself: it may have been charged since it was chosen.
    forgetting = sa.delete(LimitBucket).where(LimitBucket.key.in_(some), is_full)
    return rows_changed(session, forgetting)
