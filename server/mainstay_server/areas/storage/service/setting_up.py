"""Setting up a store elsewhere: it is tried before it is kept, while no transaction is open."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from mainstay_server.areas.storage.models import Bucket, Kind
from mainstay_server.areas.storage.providers import STORES
from mainstay_server.kernel.database import new_id, reading, transaction
from mainstay_server.kernel.subjects import InstanceRef

from . import buckets

Told = TypeVar("Told")


def create(  # noqa: PLR0913 - what a bucket is
    instance: InstanceRef,
    *,
    name: str,
    kind: Kind,
    config: Mapping[str, Any],
    limits: Mapping[str, Any],
    told: Callable[[Session, Bucket], Told],
    now: datetime,
) -> Told:
    """Try the store, then make the bucket; what is `told` of it.

    Raises:
        Invalid: the store does not take, give or delete something small, or the rest is wrong.
        Conflict: the name is taken.
    """
    store = STORES[kind]
    store.opened(new_id(), store.checked(config)).probe(now=now)
    with transaction() as session:
        bucket = buckets.create_bucket(
            session, instance, name=name, kind=kind, config=config, limits=limits, now=now
        )
        return told(session, bucket)


def change(
    instance: InstanceRef,
    bucket_id: str,
    changes: Mapping[str, Any],
    *,
    told: Callable[[Session, Bucket], Told],
    now: datetime,
) -> Told:
    """Try new credentials, if there are any, then change the bucket; what is `told` of it."""
    config = changes.get("config")
    if config is not None:
        with reading() as session:
            bucket = buckets.get_bucket(session, instance, bucket_id)
        store = STORES[bucket.kind]
        store.opened(bucket.id, store.checked({**bucket.config, **config})).probe(now=now)
    with transaction() as session:
        return told(session, buckets.change_bucket(session, instance, bucket_id, changes, now=now))
