"""What a bucket holds: in all, by type, by owner, and day by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Status, StoredObject, Use, UseDay

from . import uses

MOST_TYPES = 20
MOST_OWNERS = 50


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of a bucket is of one content type."""

    content_type: str
    used_bytes: int
    used_objects: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """What an owner holds; limits are None where there are none."""

    owner: str
    used_bytes: int
    used_objects: int
    reserved_bytes: int
    reserved_objects: int
    limit_bytes: int | None
    limit_objects: int | None

    @property
    def percent(self) -> float | None:
        """How much of the nearer limit is used; None without one."""
        shares = [
            100 * used / limit if limit else 100.0
            for used, limit in (
                (self.used_bytes, self.limit_bytes),
                (self.used_objects, self.limit_objects),
            )
            if limit is not None
        ]
        return round(max(shares), 1) if shares else None


def total_of(session: Session, bucket: Bucket) -> Held:
    """What the whole bucket holds."""
    use = uses.find_use(session, bucket.id) or Use(
        bucket_id=bucket.id, owner="", **uses.NOTHING_YET
    )
    return held_by(bucket, use)


def types_of(session: Session, bucket: Bucket) -> Sequence[Share]:
    """The content types with the most bytes; at most 20."""
    size = sa.func.sum(StoredObject.size_bytes)
    rows = session.execute(
        sa.select(StoredObject.content_type, size, sa.func.count())
        .where(StoredObject.bucket_id == bucket.id, StoredObject.status == Status.STORED)
        .group_by(StoredObject.content_type)
        .order_by(size.desc())
        .limit(MOST_TYPES)
    )
    return [
        Share(content_type=kind, used_bytes=int(used_bytes), used_objects=count)
        for kind, used_bytes, count in rows
    ]


def owners_of(session: Session, bucket: Bucket, *, search: str = "") -> Sequence[Held]:
    """The owners of the first folder with the most bytes, and those with a quota; at most 50."""
    own = sa.or_(Use.quota_bytes.is_not(None), Use.quota_objects.is_not(None))
    rows = session.scalars(
        sa.select(Use)
        .where(
            Use.bucket_id == bucket.id,
            Use.owner != "",
            sa.or_(~Use.owner.contains("/"), own),
            Use.owner.icontains(search, autoescape=True),
        )
        .order_by(Use.used_bytes.desc(), Use.owner)
        .limit(MOST_OWNERS)
    )
    return [held_by(bucket, use) for use in rows]


def days_of(session: Session, bucket: Bucket, *, days: int, now: datetime) -> Sequence[UseDay]:
    """What the bucket held at the end of each of the last days that were written down."""
    first = (now - timedelta(days=days)).date().isoformat()
    return session.scalars(
        sa.select(UseDay)
        .where(UseDay.bucket_id == bucket.id, UseDay.day > first)
        .order_by(UseDay.day)
        .limit(days)
    ).all()


def moment_of(day: UseDay) -> int:
    """When a day ended, in Unix seconds, for charts."""
    return int(datetime.fromisoformat(f"{day.day}T23:59:59+00:00").timestamp())


def held_by(bucket: Bucket, use: Use) -> Held:
    """What an owner holds, against its limits."""
    limit_bytes, limit_objects = uses.limits_of(bucket, use)
    return Held(
        owner=use.owner,
        used_bytes=use.used_bytes,
        used_objects=use.used_objects,
        reserved_bytes=use.reserved_bytes,
        reserved_objects=use.reserved_objects,
        limit_bytes=limit_bytes,
        limit_objects=limit_objects,
    )
