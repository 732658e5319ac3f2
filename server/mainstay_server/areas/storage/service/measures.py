"""How full buckets are as a number that rules compare."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Use
from mainstay_server.kernel.measures import Measure, MeasureFamily, Reading

from .statistics import held_by

USED = "storage.used"


def read(session: Session, *, since: datetime, until: datetime, by_part: bool) -> Sequence[Reading]:
    """The share used of every bucket that has a limit, or that of each instance's fullest."""
    _ = since, until  # as it is now
    rows = session.execute(
        sa.select(Bucket, Use).join(Use, sa.and_(Use.bucket_id == Bucket.id, Use.owner == ""))
    )
    shares: dict[str, dict[str, float]] = {}
    for bucket, use in rows:
        percent = held_by(bucket, use).percent
        if percent is not None:
            shares.setdefault(bucket.instance_id, {})[bucket.name] = percent
    return [
        Reading(instance_id=instance_id, values={USED: share}, part=part, count=len(by_bucket))
        for instance_id, by_bucket in shares.items()
        for part, share in (by_bucket.items() if by_part else (("", max(by_bucket.values())),))
    ]


STORAGE = MeasureFamily(
    measures=(
        Measure(
            name=USED,
            title="Share of the storage that is used",
            unit="percent",
            description="Of the nearer limit of a bucket, bytes or files; of several buckets the"
            " fullest one's.",
        ),
    ),
    read=read,
    part="bucket",
    windowed=False,
)
