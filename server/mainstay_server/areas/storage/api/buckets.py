"""The API of those who administer buckets: buckets, quotas of owners, links."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket
from mainstay_server.areas.storage.schemas.api import (
    BucketAnswer,
    BucketChanges,
    BucketsAnswer,
    HeldAnswer,
    LinkAnswer,
    LinksAnswer,
    NewBucket,
    OwnerQuota,
)
from mainstay_server.areas.storage.service import buckets, links, setting_up, statistics
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/instances/{instance_id}/buckets")

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
Search = Annotated[
    str, Query(max_length=200, description="A text in key or note.", examples=["report"])
]


@router.get("", summary="List buckets", operation_id="list_buckets")
def list_buckets(
    session: Session, instance: Viewed, limit: Limit = 50, cursor: Cursor = ""
) -> BucketsAnswer:
    """The buckets of an instance, by name."""
    page = buckets.list_buckets(session, instance.id, limit=limit, cursor=cursor)
    return BucketsAnswer(
        buckets=[_answer(session, bucket) for bucket in page.items], next_cursor=page.next_cursor
    )


@router.post("", status_code=201, summary="Make a bucket", operation_id="create_bucket")
def create_bucket(instance: Administered, body: NewBucket) -> BucketAnswer:
    """A store elsewhere is tried first: something small is written, found and deleted there."""
    limits = {name: getattr(body, name) for name in buckets.LIMITS}
    return setting_up.create(
        instance,
        name=body.name,
        kind=body.kind,
        config=body.config,
        limits=limits,
        told=_answer,
        now=utc_now(),
    )


@router.get("/{bucket_id}", summary="Get a bucket", operation_id="get_bucket")
def get_bucket(session: Session, instance: Viewed, bucket_id: str) -> BucketAnswer:
    """One bucket, with what it holds."""
    return _answer(session, buckets.get_bucket(session, instance, bucket_id))


@router.patch("/{bucket_id}", summary="Change a bucket", operation_id="change_bucket")
def change_bucket(instance: Administered, bucket_id: str, body: BucketChanges) -> BucketAnswer:
    """Change its name, limits or credentials; new credentials are tried first."""
    changes = {
        name: getattr(body, name)
        for name in body.model_fields_set
        if name.startswith(("quota", "owner")) or getattr(body, name) is not None
    }
    return setting_up.change(instance, bucket_id, changes, told=_answer, now=utc_now())


@router.delete(
    "/{bucket_id}", status_code=204, summary="Remove a bucket", operation_id="remove_bucket"
)
def remove_bucket(session: Session, instance: Administered, bucket_id: str) -> None:
    """Remove an empty bucket of this server, or one elsewhere, whose files stay there."""
    buckets.remove_bucket(session, instance, bucket_id, now=utc_now())


@router.put(
    "/{bucket_id}/owner-quota",
    summary="Give an owner a quota of its own",
    operation_id="change_owner_quota",
)
def change_owner_quota(
    session: Session, instance: Administered, bucket_id: str, body: OwnerQuota
) -> HeldAnswer:
    """An owner is the beginning of keys, one to three folders deep."""
    now = utc_now()
    use = buckets.change_owner_quota(
        session,
        instance,
        bucket_id,
        body.owner,
        quota_bytes=body.quota_bytes,
        quota_objects=body.quota_objects,
        now=now,
    )
    bucket = buckets.get_bucket(session, instance, bucket_id)
    return HeldAnswer.model_validate(statistics.held_by(bucket, use))


@router.get("/{bucket_id}/links", summary="List counted links", operation_id="list_storage_links")
def list_storage_links(
    session: Session,
    instance: Viewed,
    bucket_id: str,
    q: Search = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> LinksAnswer:
    """Newest first, those that ended too until they are forgotten a week later."""
    bucket = buckets.get_bucket(session, instance, bucket_id)
    page = links.list_links(session, bucket.id, limit=limit, cursor=cursor, search=q)
    return LinksAnswer(
        links=[LinkAnswer.model_validate(link) for link in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/{bucket_id}/links/revoke",
    status_code=204,
    summary="End every link that the server answers",
    operation_id="revoke_storage_links",
)
def revoke_links(session: Session, instance: Written, bucket_id: str) -> None:
    """Counted or not; what a store elsewhere was signed for lasts until its end."""
    buckets.revoke_links(session, instance, bucket_id, now=utc_now())


@router.delete(
    "/{bucket_id}/links/{link_id:id}",
    status_code=204,
    summary="Revoke a link",
    operation_id="revoke_storage_link",
)
def revoke_link(session: Session, instance: Written, bucket_id: str, link_id: str) -> None:
    """It answers 410 from now on."""
    bucket = buckets.get_bucket(session, instance, bucket_id)
    links.revoke_link(session, bucket, link_id, now=utc_now())


def _answer(session: Session, bucket: Bucket) -> BucketAnswer:
    told = {name: getattr(bucket, name) for name in BucketAnswer.model_fields if name != "used"}
    used = HeldAnswer.model_validate(statistics.total_of(session, bucket))
    return BucketAnswer(**told, used=used)
