"""Buckets: where an instance keeps files, within which limits, and who administers that."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Kind, Status, StoredObject, Use
from mainstay_server.areas.storage.providers import STORES, DirectStore, Store, direct
from mainstay_server.contracts.storage import (
    StorageBucketChanged,
    StorageBucketCreated,
    StorageBucketLinksRevoked,
    StorageBucketRemoved,
    StorageQuotaChanged,
)
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.models import Instance

from . import keys, uses

MOST_BUCKETS = 50
MOST_TYPES = 50
MOST_OWN_QUOTAS = 1000
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
FACTS = (
    "name",
    "kind",
    "shown",
    "quota_bytes",
    "quota_objects",
    "owner_quota_bytes",
    "owner_quota_objects",
    "max_object_bytes",
    "content_types",
)


def list_buckets(session: Session, instance_id: str, *, limit: int, cursor: str) -> Page[Bucket]:
    """The buckets of an instance by name; at most 50 in all."""
    position = decode_cursor(cursor, parts=1)
    found = session.scalars(
        sa.select(Bucket)
        .where(Bucket.instance_id == instance_id, Bucket.name > str((position or [""])[0]))
        .order_by(Bucket.name)
        .limit(limit + 1)
    ).all()
    return page_of(found, limit=limit, key=lambda bucket: (bucket.name,))


def buckets_of(session: Session, instance_id: str) -> Sequence[Bucket]:
    """All buckets of an instance, by name."""
    return list_buckets(session, instance_id, limit=MOST_BUCKETS, cursor="").items


def get_bucket(session: Session, instance: InstanceRef, bucket_id: str) -> Bucket:
    """A bucket of the instance. Raises `NotFound`."""
    bucket = session.get(Bucket, bucket_id)
    if bucket is None or bucket.instance_id != instance.id:
        raise NotFound("This instance has no such bucket; list its buckets first.")
    return bucket


def choose_bucket(session: Session, organization_id: str, named: str) -> Bucket:
    """The bucket that an app means: by id, by name, or the only one of the organization.

    Raises:
        NotFound: there is none of that id or name.
        Invalid: several are meant; which.
    """
    ours = sa.select(Bucket).where(Bucket.organization_id == organization_id)
    if named:
        ours = ours.where(sa.or_(Bucket.id == named, Bucket.name == named))
    found = session.scalars(ours.order_by(Bucket.name, Bucket.id).limit(MOST_BUCKETS)).all()
    if not found:
        raise NotFound(
            f"There is no bucket {named[:63]!r}; /api/instances/:id/buckets lists yours."
            if named
            else "There is no bucket yet; make one on the page Storage of a project."
        )
    if len(found) > 1:
        known = ", ".join(f"{bucket.name} ({bucket.id})" for bucket in found[:5])
        raise Invalid(f"Several buckets are meant: name one in bucket by its id: {known}.")
    return found[0]


def create_bucket(  # noqa: PLR0913 - what a bucket is
    session: Session,
    instance: InstanceRef,
    *,
    name: str,
    kind: Kind,
    config: Mapping[str, Any],
    limits: Mapping[str, Any],
    now: datetime,
) -> Bucket:
    """Give an instance a bucket.

    Raises:
        Invalid: its name, config or a limit makes no sense.
        Conflict: the name is taken, or there are too many.
    """
    session.get_one(Instance, instance.id, with_for_update=True)  # one at a time, or two go in
    present = buckets_of(session, instance.id)
    if len(present) >= MOST_BUCKETS:
        raise Conflict(f"An instance has at most {MOST_BUCKETS} buckets; remove one first.")
    checked = STORES[kind].checked(config)
    bucket = Bucket(
        id=new_id(),
        organization_id=instance.organization_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        name=_clean_name(name, present),
        kind=kind,
        config=checked,
        shown=STORES[kind].shown(checked),
        created_at=now,
        drift={},
        **_clean_limits(limits),
    )
    session.add(bucket)
    session.flush()
    say(
        session,
        StorageBucketCreated(
            **instance.ids,
            bucket_id=bucket.id,
            name=bucket.name,
            changes=changes_between({}, facts_of(bucket, FACTS)),
        ),
        now=now,
    )
    return bucket


def change_bucket(
    session: Session,
    instance: InstanceRef,
    bucket_id: str,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> Bucket:
    """Change a bucket's name, limits or credentials; where it is stays as it is.

    Raises:
        NotFound: the instance has no such bucket.
        Invalid: a change makes no sense, or would move the bucket elsewhere.
        Conflict: the name is taken.
    """
    bucket = get_bucket(session, instance, bucket_id)
    before = facts_of(bucket, FACTS)
    rest = dict(changes)
    config = rest.pop("config", None)
    name = rest.pop("name", None)
    if name is not None and name != bucket.name:
        bucket.name = _clean_name(name, buckets_of(session, instance.id))
    if config is not None:
        _change_config(bucket, config)
    limits = {field: getattr(bucket, field) for field in LIMITS} | rest
    for field, value in _clean_limits(limits).items():
        setattr(bucket, field, value)
    session.flush()
    changed = changes_between(before, facts_of(bucket, FACTS))
    if config is not None:
        changed = {**changed, "credentials": (None, "replaced")}
    if changed:
        event = StorageBucketChanged(
            **instance.ids, bucket_id=bucket.id, name=bucket.name, changes=changed
        )
        say(session, event, now=now)
        uses.warn(session, bucket, [""], now=now)
    return bucket


def remove_bucket(
    session: Session, instance: InstanceRef, bucket_id: str, *, now: datetime
) -> None:
    """Remove a bucket: an empty one of this server, or one elsewhere, where the files stay.

    Raises:
        NotFound: the instance has no such bucket.
        Conflict: there are files in it that would be lost.
    """
    bucket = get_bucket(session, instance, bucket_id)
    there = sa.select(StoredObject.id).where(
        StoredObject.bucket_id == bucket.id, StoredObject.status != Status.DELETED
    )
    if bucket.kind == Kind.SERVER and session.scalar(there.limit(1)) is not None:
        raise Conflict("There are files in this bucket, or on their way; delete them first.")
    use = uses.find_use(session, bucket.id)
    if use is not None:
        uses.give_back_all(session, bucket, use, now=now)
    before = facts_of(bucket, FACTS)
    session.delete(bucket)
    session.flush()
    say(
        session,
        StorageBucketRemoved(
            **instance.ids,
            bucket_id=bucket.id,
            name=bucket.name,
            changes=changes_between(before, {}),
        ),
        now=now,
    )


def change_owner_quota(  # noqa: PLR0913 - whose, where, how much
    session: Session,
    instance: InstanceRef,
    bucket_id: str,
    owner: str,
    *,
    quota_bytes: int | None,
    quota_objects: int | None,
    now: datetime,
) -> Use:
    """Give an owner a quota of its own, or the bucket's default again (None).

    Raises:
        NotFound: the instance has no such bucket.
        Invalid: that is no owner.
        Conflict: as many other owners as may have one have a quota of their own.
    """
    bucket = get_bucket(session, instance, bucket_id)
    clean = keys.clean_owner(owner)
    if (quota_bytes, quota_objects) != (None, None):
        _refuse_more_quotas(session, bucket, clean)
    new = insert(Use).values(bucket_id=bucket.id, owner=clean, **uses.NOTHING_YET)
    session.execute(new.on_conflict_do_nothing())
    use = uses.find_use(session, bucket.id, clean)
    assert use is not None, "it was put there"
    before = facts_of(use, ("quota_bytes", "quota_objects"))
    use.quota_bytes, use.quota_objects = quota_bytes, quota_objects
    session.flush()
    say(
        session,
        StorageQuotaChanged(
            **instance.ids,
            bucket_id=bucket.id,
            owner=clean,
            changes=changes_between(before, facts_of(use, ("quota_bytes", "quota_objects"))),
        ),
        now=now,
    )
    uses.warn(session, bucket, [clean], now=now)
    return use


def revoke_links(session: Session, instance: InstanceRef, bucket_id: str, *, now: datetime) -> None:
    """End every link of a bucket that the server answers; what S3 signed lasts until its end."""
    bucket = get_bucket(session, instance, bucket_id)
    bucket.link_generation += 1
    session.flush()
    event = StorageBucketLinksRevoked(**instance.ids, bucket_id=bucket.id, name=bucket.name)
    say(session, event, now=now)


def store_of(bucket: Bucket) -> Store:
    """Where the bytes of a bucket lie."""
    return STORES[bucket.kind].opened(bucket.id, bucket.config)


def direct_store_of(bucket: Bucket) -> DirectStore | None:
    """The store of a bucket, when clients reach it by themselves."""
    return direct(bucket.kind, bucket.id, bucket.config)


LIMITS = (
    "quota_bytes",
    "quota_objects",
    "owner_quota_bytes",
    "owner_quota_objects",
    "max_object_bytes",
    "content_types",
)


def _refuse_more_quotas(session: Session, bucket: Bucket, owner: str) -> None:
    others = sa.select(sa.func.count()).where(
        Use.bucket_id == bucket.id,
        Use.owner != owner,
        sa.or_(Use.quota_bytes.is_not(None), Use.quota_objects.is_not(None)),
    )
    if (session.scalar(others) or 0) >= MOST_OWN_QUOTAS:
        raise Conflict(
            f"{MOST_OWN_QUOTAS:,} owners have a quota of their own; take one away first, by null."
        )


def _clean_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    types = [str(each).strip().lower() for each in limits["content_types"]]
    if len(types) > MOST_TYPES:
        raise Invalid(f"A bucket names at most {MOST_TYPES} content types; use image/* and such.")
    for each in types:
        keys.clean_content_type(each.replace("/*", "/any"))
    return {**{field: limits[field] for field in LIMITS}, "content_types": types}


def _clean_name(name: str, present: Sequence[Bucket]) -> str:
    clean = name.strip()
    if not NAME.fullmatch(clean):
        raise Invalid("A bucket's name has 1 to 63 of a-z, 0-9 and dashes, such as user-files.")
    if any(bucket.name == clean for bucket in present):
        raise Conflict(f"There is a bucket {clean} in this instance already; choose another name.")
    return clean


def _change_config(bucket: Bucket, config: Mapping[str, Any]) -> None:
    """Take other credentials for the same place."""
    kind = STORES[bucket.kind]
    checked = kind.checked({**bucket.config, **config})
    if kind.shown(checked) != bucket.shown:
        raise Invalid(
            "A bucket stays where it is: only its credentials, region and uploadBy can change; make"
            " another bucket for another place."
        )
    bucket.config = checked
