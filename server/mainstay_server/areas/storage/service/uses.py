"""How much is used: reserved before it comes, counted when it is there, warned of once."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Use
from mainstay_server.contracts.quotas import use_quota
from mainstay_server.contracts.storage import StorageLimitEnded, StorageLimitReached
from mainstay_server.kernel.database import insert, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Conflict
from mainstay_server.tenancy.models import Organization

from .keys import owners_of

THRESHOLDS = (80, 90, 100)
WELL_BELOW = 75
FULL = 100
METER = "storage_bytes"


def reserve(session: Session, bucket: Bucket, key: str, size_bytes: int, *, now: datetime) -> None:
    """Take room for one object in the bucket, for each of its owners, and in the plan.

    Finding that there is room and taking it is one statement, and owners are asked in one order:
    callers of any number of processes never pass a quota together. All of it or, with the
    caller's transaction, nothing.

    Raises:
        Conflict: a quota of the bucket or of an owner has no such room.
        TooManyRequests: the plan of the organization has none.
    """
    for owner in owners_of(key):
        new = insert(Use).values(bucket_id=bucket.id, owner=owner, **NOTHING_YET)
        session.execute(new.on_conflict_do_nothing())
        most_bytes, most_objects = _defaults(bucket, owner)
        bytes_then = Use.used_bytes + Use.reserved_bytes + size_bytes
        objects_then = Use.used_objects + Use.reserved_objects + 1
        taken = rows_changed(
            session,
            sa.update(Use)
            .where(
                Use.bucket_id == bucket.id,
                Use.owner == owner,
                _fits(bytes_then, Use.quota_bytes, most_bytes),
                _fits(objects_then, Use.quota_objects, most_objects),
            )
            .values(
                reserved_bytes=Use.reserved_bytes + size_bytes,
                reserved_objects=Use.reserved_objects + 1,
            ),
        )
        if not taken:
            whose = f"The owner {owner}" if owner else f"The bucket {bucket.name}"
            raise Conflict(
                f"{whose} has no room for {size_bytes:,} bytes more; delete files, or raise its"
                " quota.",
                code="storage-full",
            )
    if use_quota.is_answered:
        use_quota(session, bucket.organization_id, meter=METER, amount=size_bytes, now=now)


NOTHING_YET = {
    "used_bytes": 0,
    "used_objects": 0,
    "reserved_bytes": 0,
    "reserved_objects": 0,
    "told_percent": 0,
}


def release(session: Session, bucket: Bucket, key: str, size_bytes: int, *, now: datetime) -> None:
    """Give back what was reserved for an object that did not come."""
    for owner in owners_of(key):
        _change(session, bucket, owner, reserved_bytes=-size_bytes, reserved_objects=-1)
    _give_back(session, bucket, size_bytes, now=now)


def keep(
    session: Session,
    bucket: Bucket,
    key: str,
    reserved_bytes: int,
    size_bytes: int,
    *,
    now: datetime,
) -> None:
    """Turn a reservation into what is really there; warn of quotas that come to an end."""
    for owner in owners_of(key):
        _change(
            session,
            bucket,
            owner,
            reserved_bytes=-reserved_bytes,
            reserved_objects=-1,
            used_bytes=size_bytes,
            used_objects=1,
        )
    _give_back(session, bucket, reserved_bytes - size_bytes, now=now)
    warn(session, bucket, owners_of(key), now=now)


def drop(session: Session, bucket: Bucket, key: str, size_bytes: int, *, now: datetime) -> None:
    """Count an object no longer."""
    for owner in owners_of(key):
        _change(session, bucket, owner, used_bytes=-size_bytes, used_objects=-1)
    _give_back(session, bucket, size_bytes, now=now)
    warn(session, bucket, owners_of(key), now=now)


def warn(session: Session, bucket: Bucket, owners: Sequence[str], *, now: datetime) -> None:
    """Say each threshold that was reached and not said yet, and once that it is well below again.

    Writing down what was said and finding that it had not been is one statement: of several
    processes one speaks.
    """
    for owner in owners:
        use = find_use(session, bucket.id, owner)
        if use is None:
            continue
        what, used, limit = nearest(bucket, use)
        percent = used * FULL // limit if limit else 0
        for threshold in THRESHOLDS:
            if limit and percent >= threshold and _say_first(session, bucket, owner, threshold):
                reached = StorageLimitReached(
                    **bucket.ids,
                    bucket_id=bucket.id,
                    name=bucket.name,
                    owner=owner,
                    percent=threshold,
                    what=what,
                    used=used,
                    limit=limit,
                )
                say(session, reached, now=now)
        if percent < WELL_BELOW and _say_over(session, bucket, owner):
            over = StorageLimitEnded(
                **bucket.ids, bucket_id=bucket.id, name=bucket.name, owner=owner
            )
            say(session, over, now=now)


def give_back_all(session: Session, bucket: Bucket, use: Use, *, now: datetime) -> None:
    """Count nothing of a bucket in the plan any more."""
    _give_back(session, bucket, use.used_bytes + use.reserved_bytes, now=now)


def follow_what_is_left(session: Session, organization_id: str, *, now: datetime) -> None:
    """Count no more in the plan than the buckets that an organization still has hold.

    What a bucket held that went with its project nobody knows any more, so the others are added
    up. The meter is held first: whoever reserves meanwhile counts there last, and so waits.
    """
    if not use_quota.is_answered or session.get(Organization, organization_id) is None:
        return
    counted = use_quota(session, organization_id, meter=METER, amount=0, now=now).used
    held = session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(Use.used_bytes + Use.reserved_bytes), 0))
        .join(Bucket, Bucket.id == Use.bucket_id)
        .where(Bucket.organization_id == organization_id, Use.owner == "")
    )
    too_many = counted - int(held or 0)
    if too_many > 0:
        use_quota(session, organization_id, meter=METER, amount=-too_many, now=now)


def nearest(bucket: Bucket, use: Use) -> tuple[str, int, int | None]:
    """Of bytes and objects, what is nearer to its limit: its name, the use, and the limit."""
    most_bytes, most_objects = limits_of(bucket, use)
    shares = [
        (used / limit if limit else 1.0, what, used, limit)
        for what, used, limit in (
            ("bytes", use.used_bytes, most_bytes),
            ("objects", use.used_objects, most_objects),
        )
        if limit is not None
    ]
    if not shares:
        return "bytes", use.used_bytes, None
    _, what, used, limit = max(shares)
    return what, used, limit


def limits_of(bucket: Bucket, use: Use) -> tuple[int | None, int | None]:
    """The bytes and objects that an owner may keep; None where there is no limit."""
    most_bytes, most_objects = _defaults(bucket, use.owner)
    return (
        use.quota_bytes if use.quota_bytes is not None else most_bytes,
        use.quota_objects if use.quota_objects is not None else most_objects,
    )


def find_use(session: Session, bucket_id: str, owner: str = "") -> Use | None:
    """What an owner uses, as it is now."""
    return session.scalars(
        sa.select(Use)
        .where(Use.bucket_id == bucket_id, Use.owner == owner)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _defaults(bucket: Bucket, owner: str) -> tuple[int | None, int | None]:
    """The bucket's own limits, or those for each owner of the first folder."""
    if not owner:
        return bucket.quota_bytes, bucket.quota_objects
    if "/" not in owner:
        return bucket.owner_quota_bytes, bucket.owner_quota_objects
    return None, None


def _fits(
    amount: sa.SQLColumnExpression[int],
    own: sa.SQLColumnExpression[int | None],
    default: int | None,
) -> sa.ColumnElement[bool]:
    if default is None:
        return sa.or_(own.is_(None), amount <= own)
    return amount <= sa.func.coalesce(own, default)


def _change(session: Session, bucket: Bucket, owner: str, **amounts: int) -> None:
    """Add to counts; none falls below nothing, whatever was counted wrongly before."""
    new = insert(Use).values(bucket_id=bucket.id, owner=owner, **NOTHING_YET)
    session.execute(new.on_conflict_do_nothing())
    values = {}
    for name, amount in amounts.items():
        then = getattr(Use, name) + amount
        values[name] = sa.case((then > 0, then), else_=0)
    session.execute(
        sa.update(Use).where(Use.bucket_id == bucket.id, Use.owner == owner).values(**values)
    )


def _give_back(session: Session, bucket: Bucket, amount: int, *, now: datetime) -> None:
    if amount and use_quota.is_answered:
        use_quota(session, bucket.organization_id, meter=METER, amount=-amount, now=now)


def _say_first(session: Session, bucket: Bucket, owner: str, threshold: int) -> bool:
    changed = rows_changed(
        session,
        sa.update(Use)
        .where(Use.bucket_id == bucket.id, Use.owner == owner, Use.told_percent < threshold)
        .values(told_percent=threshold),
    )
    return bool(changed)


def _say_over(session: Session, bucket: Bucket, owner: str) -> bool:
    changed = rows_changed(
        session,
        sa.update(Use)
        .where(Use.bucket_id == bucket.id, Use.owner == owner, Use.told_percent > 0)
        .values(told_percent=0),
    )
    return bool(changed)
