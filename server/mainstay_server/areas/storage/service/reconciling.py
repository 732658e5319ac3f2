"""What a listing puts right: rows without bytes, bytes without rows, and counts that drifted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import (
    LONGEST_KEY,
    Bucket,
    Kind,
    Status,
    StoredObject,
    Use,
    UseDay,
)
from mainstay_server.areas.storage.providers import Store
from mainstay_server.areas.storage.providers.server import PREFIX
from mainstay_server.areas.storage.schemas.stores import Found
from mainstay_server.areas.storage.settings import StorageSettings
from mainstay_server.contracts.quotas import use_quota
from mainstay_server.contracts.storage import StorageDriftRepaired
from mainstay_server.kernel import blobs
from mainstay_server.kernel.blob_files import walk_blobs
from mainstay_server.kernel.database import insert, new_id, reading, rows_changed, transaction
from mainstay_server.kernel.events import say
from mainstay_server.kernel.problems import Invalid, TooManyRequests, Unavailable
from mainstay_server.kernel.settings import of

from . import buckets, keys, uses
from .uploads import OWN_PLACES

BATCH = 500
EVERY = timedelta(hours=6)
ORPHANS_STAY = timedelta(hours=1)
MOST_BUCKETS_AT_ONCE = 20
ROWS_KEPT = timedelta(days=7)
LOST = "Its bytes are gone from the store."
OTHERS = "somebody else"


@dataclass
class Drift:
    """What one listing put right."""

    adopted: int = 0
    missing: int = 0
    changed: int = 0
    removed_orphans: int = 0
    complete: bool = True
    bytes_before: int = 0
    bytes_after: int = 0

    @property
    def is_worth_telling(self) -> bool:
        """Whether counts or files were different from what was believed."""
        repaired = self.adopted or self.missing or self.changed
        return bool(repaired) or self.bytes_before != self.bytes_after


def reconcile_due(*, now: datetime) -> int:
    """Reconcile the buckets whose last listing is six hours old; returns how many."""
    with reading() as session:
        due = session.scalars(
            sa.select(Bucket)
            .where(sa.or_(Bucket.reconciled_at.is_(None), Bucket.reconciled_at < now - EVERY))
            .order_by(Bucket.reconciled_at.is_not(None), Bucket.reconciled_at)
            .limit(MOST_BUCKETS_AT_ONCE)
        ).all()
    for bucket in due:
        reconcile(bucket, now=now)
    return len(due)


def reconcile(bucket: Bucket, *, now: datetime) -> Drift:
    """Compare a bucket with what its store lists, and let rows and counts follow the store.

    Bytes without a row are removed where only we write: they are what a crash left. In a store of
    somebody's own they are adopted: whoever put them there wants them, and they take room. What
    changes while the listing goes on is left alone until the next one.
    """
    store = buckets.store_of(bucket)
    drift = Drift()
    try:
        listed = 0
        for batch in _batches(_upto(store.listing(now=now), of(StorageSettings), drift)):
            listed += len(batch)
            _compare(bucket, store, batch, drift, now=now)
    except Unavailable as problem:
        _write_problem(bucket, problem.detail, now=now)
        return drift
    with transaction() as session:
        held = session.get(Bucket, bucket.id, with_for_update=True)
        if held is not None:
            _settle(session, held, drift, now=now)
    return drift


def _upto(found: Iterable[Found], settings: StorageSettings, drift: Drift) -> Iterator[Found]:
    for count, each in enumerate(found):
        if count >= settings.storage_listed_objects:
            drift.complete = False
            return
        yield each


def _batches(found: Iterator[Found]) -> Iterator[list[Found]]:
    """So many at a time, each place once: a store of somebody's own may say anything."""
    while batch := list(islice(found, BATCH)):
        yield list({each.place: each for each in batch}.values())


def _compare(
    bucket: Bucket, store: Store, batch: Sequence[Found], drift: Drift, *, now: datetime
) -> None:
    """Mark what was seen; repair its size; adopt or remove what nobody knows."""
    with transaction() as session:
        # Where one file is to take the place of another, both have it; what is stored comes last.
        known = {
            row.place: row
            for row in session.scalars(
                sa.select(StoredObject)
                .where(
                    StoredObject.bucket_id == bucket.id,
                    StoredObject.place.in_([found.place for found in batch]),
                    StoredObject.status != Status.DELETED,
                )
                .order_by(StoredObject.status == Status.STORED)
            )
        }
        strangers = []
        for found in batch:
            row = known.get(found.place)
            if row is None:
                strangers.append(found)
            elif row.status == Status.STORED:
                row.seen_at = now
                if row.size_bytes != found.size_bytes:
                    row.size_bytes, row.etag = found.size_bytes, found.etag
                    row.sha256 = ""
                    drift.changed += 1
        if bucket.kind != Kind.SERVER:
            drift.adopted += _adopt_all(session, bucket, strangers, now=now)
            strangers = [found for found in strangers if found.place.startswith(OWN_PLACES)]
    for found in strangers:
        if found.changed_at < now - ORPHANS_STAY:
            store.remove(found.place, now=now)
            drift.removed_orphans += 1


def _adopt_all(
    session: Session, bucket: Bucket, strangers: Sequence[Found], *, now: datetime
) -> int:
    """Take what others put there; what a file of the same key left behind is none of theirs."""
    taken = set(
        session.scalars(
            sa.select(StoredObject.key).where(
                StoredObject.bucket_id == bucket.id,
                StoredObject.key.in_([found.place for found in strangers]),
                StoredObject.status == Status.STORED,
            )
        )
    )
    others = (
        found
        for found in strangers
        if found.place not in taken and not found.place.startswith(OWN_PLACES)
    )
    return sum(_adopt(session, bucket, found, now=now) for found in others)


def _adopt(session: Session, bucket: Bucket, found: Found, *, now: datetime) -> int:
    """Take what somebody else put there; what could be no key of ours stays out."""
    try:
        key = keys.clean_key(found.place)
    except Invalid:
        return 0
    if key != found.place or len(key) > LONGEST_KEY:
        return 0
    session.add(
        StoredObject(
            id=new_id(),
            bucket_id=bucket.id,
            key=key,
            place=key,
            size_bytes=found.size_bytes,
            content_type="application/octet-stream",
            etag=found.etag,
            status=Status.STORED,
            created_by=OTHERS,
            created_at=found.changed_at,
            stored_at=found.changed_at,
            seen_at=now,
        )
    )
    return 1


def _settle(session: Session, bucket: Bucket, drift: Drift, *, now: datetime) -> None:
    if drift.complete:
        drift.missing = rows_changed(
            session,
            sa.update(StoredObject)
            .where(
                StoredObject.bucket_id == bucket.id,
                StoredObject.status == Status.STORED,
                StoredObject.stored_at < now,
                sa.or_(StoredObject.seen_at.is_(None), StoredObject.seen_at < now),
            )
            .values(status=Status.DELETED, reason=LOST, expires_at=now),
        )
    before = uses.find_use(session, bucket.id)
    drift.bytes_before = before.used_bytes if before else 0
    _recount(session, bucket)
    after = uses.find_use(session, bucket.id)
    drift.bytes_after = after.used_bytes if after else 0
    _follow_in_plan(session, bucket, drift.bytes_after - drift.bytes_before, now=now)
    bucket.reconciled_at, bucket.problem, bucket.problem_since = now, "", None
    bucket.drift = {**asdict(drift), "at": now.isoformat()}
    session.flush()
    uses.warn(session, bucket, [""], now=now)
    if drift.is_worth_telling:
        told = {name: value for name, value in asdict(drift).items() if name != "complete"}
        event = StorageDriftRepaired(
            **bucket.ids,
            bucket_id=bucket.id,
            name=bucket.name,
            **told,
        )
        say(session, event, now=now)


def _recount(session: Session, bucket: Bucket) -> None:
    """Count every owner anew from the rows; what nobody uses and nobody limited is forgotten.

    The whole-bucket row is held first, as every upload does, so none is counted twice.
    """
    whole = sa.select(Use.owner).where(Use.bucket_id == bucket.id, Use.owner == "")
    session.execute(whole.with_for_update())
    session.execute(
        sa.update(Use)
        .where(Use.bucket_id == bucket.id)
        .values(used_bytes=0, used_objects=0, reserved_bytes=0, reserved_objects=0)
    )
    totals: dict[str, list[int]] = {"": [0, 0, 0, 0]}
    rows = session.execute(
        sa.select(StoredObject.key, StoredObject.size_bytes, StoredObject.status)
        .where(StoredObject.bucket_id == bucket.id, StoredObject.status != Status.DELETED)
        .execution_options(yield_per=1000)
    )
    for key, size_bytes, status in rows:
        place = 0 if status == Status.STORED else 2
        for owner in keys.owners_of(key):
            counts = totals.setdefault(owner, [0, 0, 0, 0])
            counts[place] += size_bytes
            counts[place + 1] += 1
    for owner, counts in sorted(totals.items()):
        names = ("used_bytes", "used_objects", "reserved_bytes", "reserved_objects")
        values = dict(zip(names, counts, strict=True))
        new = insert(Use).values(bucket_id=bucket.id, owner=owner, told_percent=0, **values)
        session.execute(
            new.on_conflict_do_update(index_elements=["bucket_id", "owner"], set_=values)
        )
    session.execute(
        sa.delete(Use).where(
            Use.bucket_id == bucket.id,
            Use.owner != "",
            Use.used_objects == 0,
            Use.reserved_objects == 0,
            Use.quota_bytes.is_(None),
            Use.quota_objects.is_(None),
        )
    )


def _follow_in_plan(session: Session, bucket: Bucket, change: int, *, now: datetime) -> None:
    """Count the difference in the plan too; what is there already cannot be refused any more."""
    if not change or not use_quota.is_answered:
        return
    try:
        use_quota(session, bucket.organization_id, meter=uses.METER, amount=change, now=now)
    except TooManyRequests:
        bucket.problem = "The plan has no room for what others put into this bucket."
        bucket.problem_since = now


def _write_problem(bucket: Bucket, text: str, *, now: datetime) -> None:
    with transaction() as session:
        held = session.get(Bucket, bucket.id)
        if held is not None:
            held.problem_since = held.problem_since if held.problem else now
            held.problem, held.reconciled_at = text[:500], now


def remove_lost_buckets(*, now: datetime) -> int:
    """Remove the bytes of buckets that went with their project or instance; returns how many blobs.

    Only what has lain there for an hour goes, so that no bucket that is being made loses its own.
    """
    known: dict[str, bool] = {}
    removed = 0
    for blob in walk_blobs(PREFIX):
        bucket_id = blob.key.split("/")[1]
        if bucket_id not in known:
            with reading() as session:
                known[bucket_id] = session.get(Bucket, bucket_id) is not None
        if not known[bucket_id] and blob.changed_at < now - ORPHANS_STAY:
            blobs.delete(blob.key)
            removed += 1
    return removed


def record_day(session: Session, *, now: datetime) -> int:
    """Write down what each bucket holds today; returns how many."""
    totals = session.execute(
        sa.select(Use.bucket_id, Use.used_bytes, Use.used_objects).where(Use.owner == "")
    ).all()
    for bucket_id, used_bytes, used_objects in totals:
        values = {"used_bytes": used_bytes, "used_objects": used_objects}
        new = insert(UseDay).values(bucket_id=bucket_id, day=now.date().isoformat(), **values)
        session.execute(new.on_conflict_do_update(index_elements=["bucket_id", "day"], set_=values))
    return len(totals)


def forget_rows(session: Session, *, now: datetime) -> int:
    """Forget why files went a week ago; returns how many rows."""
    return rows_changed(
        session,
        sa.delete(StoredObject).where(
            StoredObject.status == Status.DELETED, StoredObject.expires_at < now - ROWS_KEPT
        ),
    )
