"""Quotas hold however many ask at once, and are warned of once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from mainstay_server.areas.quotas import area as quotas
from mainstay_server.areas.quotas.settings import PlanLimit, QuotaSettings
from mainstay_server.areas.storage import area
from mainstay_server.areas.storage.models import Bucket, Kind, Status, StoredObject
from mainstay_server.areas.storage.schemas.stores import Found
from mainstay_server.areas.storage.service import buckets, uploads, uses
from mainstay_server.areas.storage.service.uploads import Wish
from mainstay_server.contracts.storage import StorageLimitEnded, StorageLimitReached
from mainstay_server.kernel import blobs
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict
from mainstay_server.kernel.settings import override_settings
from sqlalchemy.orm import Session
from tests.areas.storage.putting import STORAGE, a_bucket, offered, put, stored
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import World, a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT_ONCE = 8
EACH = 25
LIMITS: dict[str, Any] = {
    "quota_bytes": None,
    "quota_objects": None,
    "owner_quota_bytes": None,
    "owner_quota_objects": None,
    "max_object_bytes": 1000,
    "content_types": [],
}


def make_bucket(session: Session, **limits: Any) -> Bucket:
    return buckets.create_bucket(
        session,
        a_project(session, now=NOON),
        name="files",
        kind=Kind.SERVER,
        config={},
        limits={**LIMITS, **limits},
        now=NOON,
    )


def keep(session: Session, bucket: Bucket, key: str, size: int) -> None:
    uses.reserve(session, bucket, key, size, now=NOON)
    uses.keep(session, bucket, key, size, size, now=NOON)


@on_both_stores
def test_many_who_race_for_the_last_room_never_pass_the_quota(
    shared_memory: None, database: None
) -> None:
    with transaction() as session:
        bucket = make_bucket(session, quota_bytes=1000, owner_quota_bytes=700)
    start = threading.Barrier(AT_ONCE)

    def ask(worker: int) -> tuple[int, list[str]]:
        start.wait()
        got, owners = 0, ("acme", "zeta")
        names = []
        for number in range(EACH):
            key = f"{owners[(worker + number) % 2]}/insight/{worker}-{number}"
            try:
                with transaction() as session:
                    uploads.reserve_upload(
                        session, bucket, Wish(key=key, size_bytes=13), by="x", now=NOON
                    )
            except Conflict:
                continue
            got += 13
            names.append(key)
        return got, names

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(ask, range(AT_ONCE)))
    taken = sum(got for got, _ in found)
    assert 1000 - 13 < taken <= 1000
    with reading() as session:
        whole = uses.find_use(session, bucket.id)
        parts = [uses.find_use(session, bucket.id, owner) for owner in ("acme", "zeta")]
        rows = session.query(StoredObject).count()
    assert whole is not None
    assert (whole.reserved_bytes, whole.reserved_objects) == (taken, rows)
    assert sum(part.reserved_bytes for part in parts if part) == taken
    assert all(part is not None and part.reserved_bytes <= 700 for part in parts)


@on_both_stores
def test_of_many_who_replace_a_file_at_once_one_is_left_and_counted_once(
    shared_memory: None, database: None
) -> None:
    with transaction() as session:
        bucket = make_bucket(session)
        wish = Wish(key="acme/a", size_bytes=10, replace=True)
        reserved = [
            uploads.reserve_upload(session, bucket, wish, by="x", now=NOON) for _ in range(AT_ONCE)
        ]
    start = threading.Barrier(AT_ONCE)

    def finish(number: int) -> None:
        start.wait()
        found = Found(place=f"p{number}", size_bytes=number + 1, changed_at=NOON)
        with transaction() as session:
            held = session.get_one(Bucket, bucket.id)
            uploads.mark_stored(session, held, reserved[number].id, found, now=NOON)

    with blobs_in_memory(), ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(finish, range(AT_ONCE)))
    with reading() as session:
        (left,) = session.query(StoredObject).filter_by(status=Status.STORED).all()
        for owner in ("", "acme"):
            use = uses.find_use(session, bucket.id, owner)
            assert use is not None
            assert (use.used_bytes, use.used_objects) == (left.size_bytes, 1)
            assert (use.reserved_bytes, use.reserved_objects) == (0, 0)


@contextmanager
def blobs_in_memory() -> Iterator[None]:
    blobs.open_blobs("memory://")
    yield
    blobs.close_blobs()


def test_eighty_ninety_and_hundred_percent_are_said_once_until_there_is_room(
    session: Session, said: Said
) -> None:
    bucket = make_bucket(session, quota_bytes=100)
    said()

    def told() -> list[Any]:
        kinds = (StorageLimitReached, StorageLimitEnded)
        return [getattr(e, "percent", "over") for e in said() if isinstance(e, kinds)]

    keep(session, bucket, "a", 79)
    assert told() == []
    keep(session, bucket, "b", 1)
    assert told() == [80]
    keep(session, bucket, "c", 20)
    assert told() == [90, 100]
    uses.drop(session, bucket, "c", 20, now=NOON)
    keep(session, bucket, "d", 20)
    assert told() == []
    uses.drop(session, bucket, "a", 79, now=NOON)
    assert told() == ["over"]
    uses.drop(session, bucket, "b", 1, now=NOON)
    assert told() == []
    keep(session, bucket, "e", 60)
    assert told() == [80]


def test_a_number_of_files_has_a_limit_as_well(session: Session, said: Said) -> None:
    bucket = make_bucket(session, quota_bytes=10**6, owner_quota_objects=2)
    said()
    keep(session, bucket, "acme/a", 1)
    keep(session, bucket, "acme/b", 1)
    (ninety, hundred) = said()[1:]
    assert isinstance(ninety, StorageLimitReached)
    assert isinstance(hundred, StorageLimitReached)
    assert (hundred.owner, hundred.what, hundred.percent, hundred.limit) == (
        "acme",
        "objects",
        100,
        2,
    )
    with pytest.raises(Conflict, match="acme"):
        uses.reserve(session, bucket, "acme/c", 1, now=NOON)
    keep(session, bucket, "other", 1)


def test_the_plan_of_the_organization_counts_what_is_stored(
    client_for: Callable[..., World],
) -> None:
    world = client_for(area, quotas)
    override_settings(
        QuotaSettings(plans={"S": {"storage_bytes": PlanLimit(limit=100)}}, default_plan="S")
    )

    def counted() -> int:
        meters = world.bob.get("/api/v1/usage").json()["meters"]
        (used,) = [each["used"] for each in meters if each["meter"] == "storage_bytes"]
        assert isinstance(used, int)
        return used

    a_bucket(world)
    offer = offered(world.bob, "a", size=60)
    assert counted() == 60
    refused = world.bob.post(f"{STORAGE}/upload-url", json={"key": "b", "size": 41})
    assert (refused.status_code, refused.json()["code"]) == (429, "quota-exceeded")
    assert put(world, offer, b"12345").status_code == 201
    assert counted() == 5
    stored(world, "b", b"x" * 95)
    world.bob.post(f"{STORAGE}/files/delete", json={"keys": ["a", "b"]})
    assert counted() == 0
