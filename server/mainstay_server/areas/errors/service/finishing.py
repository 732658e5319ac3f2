"""Finishing: what a crash left stored but not counted is counted, once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.errors.models import IntakeName
from mainstay_server.kernel import columns
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.leases import is_certainly_dead
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

from .folding import Place, Seen, fold

STILL_ON_ITS_WAY = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=10)
FORGOTTEN_AFTER = timedelta(days=8)
MOST_BATCHES = 500

_LEFT = (
    "SELECT intake, batch FROM error_events WHERE received_at >= {since:DateTime64(3)}"
    " AND intake IN {intakes:Array(String)} GROUP BY intake, batch ORDER BY intake, batch"
    " LIMIT {most:UInt32}"
)
_BATCH = (
    "SELECT issue_id, instance_id, any(grouping_hash) AS hash, any(title) AS title,"
    " any(culprit) AS culprit, any(level) AS level,"
    " max(release) AS release, count() AS n,"
    " min(received_at) AS first_seen, max(received_at) AS last_seen FROM error_events"
    " WHERE received_at >= {since:DateTime64(3)} AND intake = {intake:String}"
    " AND batch = {batch:UInt64} GROUP BY issue_id, instance_id"
)


def finish_crashed(*, now: datetime) -> int:
    """Fold the batches that are in the columns, but not in the counts; returns how many.

    That is what processes leave that die between the insert and the transaction that follows it,
    and batches whose transaction failed. Whoever is certainly dead is finished at once, all others
    when they have folded nothing for a while; should one be alive after all, either of the two
    folds the batch.
    """
    with reading() as session:
        names = session.scalars(sa.select(IntakeName)).all()
    quiet = [
        name
        for name in names
        if name.folded_at < now - STILL_ON_ITS_WAY or is_certainly_dead(name.owner)
    ]
    if not quiet:
        return 0
    since = min(name.folded_at for name in quiet) - LONGEST_WAIT
    folded = {name.id: name for name in quiet}
    left = columns.query(_LEFT, since=since, intakes=list(folded), most=columns.QUERY_ROWS)
    waiting = [row for row in left if row["batch"] > folded[row["intake"]].folded]
    for row in waiting[:MOST_BATCHES]:
        _finish(folded[row["intake"]], row["batch"], since=since, now=now)
    return len(waiting[:MOST_BATCHES])


def forget_names(session: Session, *, now: datetime) -> None:
    """Forget the names of intakes that are long finished, so that there are not more and more."""
    session.execute(sa.delete(IntakeName).where(IntakeName.folded_at < now - FORGOTTEN_AFTER))


def _finish(name: IntakeName, batch: int, *, since: datetime, now: datetime) -> None:
    rows = columns.query(_BATCH, since=since, intake=name.id, batch=batch)
    place = Place(intake=name.id, owner=name.owner, number=batch)
    with transaction() as session:
        fold(session, _seen(session, rows), place, now=now)


def _seen(session: Session, rows: Sequence[dict[str, Any]]) -> list[Seen]:
    instances: dict[str, InstanceRef | None] = {
        instance_id: find_instance(session, instance_id)
        for instance_id in {row["instance_id"] for row in rows}
    }
    return [
        Seen(
            issue_id=row["issue_id"],
            instance=instance,
            grouping_hash=row["hash"],
            title=row["title"],
            culprit=row["culprit"],
            level=row["level"],
            release=row["release"],
            first_seen=row["first_seen"],
            last_seen=row["last_seen"],
            count=row["n"],
        )
        for row in rows
        if (instance := instances[row["instance_id"]]) is not None
    ]
