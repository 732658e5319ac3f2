"""What a listing finds is put right: lost bytes, stray bytes, wrong counts."""

from datetime import timedelta
from pathlib import Path

import httpx2 as httpx
import sqlalchemy as sa
from mainstay_server.areas.storage.models import Bucket, StoredObject, Use
from mainstay_server.areas.storage.service import buckets, reconciling
from mainstay_server.areas.storage.service.reconciling import Drift
from mainstay_server.areas.storage.settings import StorageSettings
from mainstay_server.contracts.storage import StorageDriftRepaired
from mainstay_server.kernel import blobs
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.kernel.settings import override_settings
from tests.areas.storage.putting import (
    STORAGE,
    a_bucket,
    buckets_path,
    download_url,
    offered,
    stored,
    used,
)
from tests.areas.storage.test_service_uploads import confirm, post
from tests.servers.strict_s3 import StrictS3
from tests.world import World

LATER = timedelta(hours=2)


def reconcile(bucket_id: str) -> Drift:
    with reading() as session:
        bucket = session.get_one(Bucket, bucket_id)
    return reconciling.reconcile(bucket, now=utc_now() + LATER)


def told() -> list[StorageDriftRepaired]:
    with reading() as session:
        return [e for _, e in said_events(session) if isinstance(e, StorageDriftRepaired)]


def test_what_is_as_it_should_be_is_left_alone(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "acme/a.txt")
    offered(world.bob, "acme/b.txt", size=7)
    before = used(world)
    drift = reconcile(bucket["id"])
    assert not drift.is_worth_telling
    assert drift.complete
    assert used(world) == before
    assert told() == []


def test_a_file_whose_bytes_are_gone_is_counted_no_longer(world: World, tmp_path: Path) -> None:
    bucket = a_bucket(world)
    stored(world, "acme/a.txt", b"12345")
    stored(world, "acme/b.txt", b"123")
    url = download_url(world, "acme/a.txt")
    (lost,) = [p for p in (tmp_path / "blobs").rglob("*") if p.is_file() and p.stat().st_size == 5]
    lost.unlink()
    assert world.stranger.get(url).json()["code"] == "file-lost"
    drift = reconcile(bucket["id"])
    assert (drift.missing, drift.bytes_before, drift.bytes_after) == (1, 8, 3)
    assert world.bob.get(f"{STORAGE}/files").json()["files"][0]["key"] == "acme/b.txt"
    (event,) = told()
    assert (event.missing, event.bytes_after) == (1, 3)
    (seen,) = world.bob.get(buckets_path(world)).json()["buckets"]
    assert seen["drift"]["missing"] == 1


def test_bytes_that_nobody_knows_go_after_an_hour_and_not_before(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "a.txt")
    blobs.put(f"storage/{bucket['id']}/aa/stray-aa", b"left by a crash")
    with reading() as session:
        found = session.get_one(Bucket, bucket["id"])
    assert reconciling.reconcile(found, now=utc_now()).removed_orphans == 0
    assert reconcile(bucket["id"]).removed_orphans == 1
    assert not blobs.exists(f"storage/{bucket['id']}/aa/stray-aa")
    assert world.stranger.get(download_url(world, "a.txt")).content == b"hello"


def test_the_bytes_of_a_bucket_go_with_its_project(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "a.txt")
    blobs.put("storage/gone-with-its-project/aa/left-aa", b"of a project that was deleted")
    assert reconciling.remove_lost_buckets(now=utc_now()) == 0, "a bucket may be in the making"
    assert reconciling.remove_lost_buckets(now=utc_now() + LATER) == 1
    assert not blobs.exists("storage/gone-with-its-project/aa/left-aa")
    assert reconcile(bucket["id"]).missing == 0


def test_counts_that_drifted_follow_the_files(world: World) -> None:
    bucket = a_bucket(world)
    stored(world, "acme/insight/a.txt")
    with transaction() as session:
        session.execute(sa.update(Use).values(used_bytes=10**9, reserved_objects=7))
    drift = reconcile(bucket["id"])
    assert (drift.bytes_before, drift.bytes_after) == (10**9, 5)
    assert (used(world)["usedBytes"], used(world)["reservedObjects"]) == (5, 0)
    with reading() as session:
        owners = session.execute(sa.select(Use.owner, Use.used_bytes).order_by(Use.owner)).all()
    assert [tuple(row) for row in owners] == [("", 5), ("acme", 5), ("acme/insight", 5)]


def test_what_others_put_into_their_own_store_is_adopted_and_never_deleted(
    world: World, strict_s3: StrictS3
) -> None:
    bucket = a_bucket(world, kind="s3", config=strict_s3.config())
    offer = offered(world.bob, "acme/a.txt", size=5)
    post(offer, b"hello")
    confirm(world, offer)
    with reading() as session:
        store = buckets.store_of(session.get_one(Bucket, bucket["id"]))
    # another program writes with keys of its own, beside ours
    foreign = offered(world.bob, "acme/theirs.txt", size=9)
    post(foreign, b"not yours")
    with transaction() as session:
        session.execute(sa.text("DELETE FROM storage_objects WHERE key = 'acme/theirs.txt'"))
    drift = reconcile(bucket["id"])
    assert (drift.adopted, drift.removed_orphans) == (1, 0)
    assert used(world)["usedBytes"] == 14
    assert [file["key"] for file in world.bob.get(f"{STORAGE}/files").json()["files"]] == [
        "acme/a.txt",
        "acme/theirs.txt",
    ]
    store.remove("acme/a.txt", now=utc_now())
    drift = reconcile(bucket["id"])
    assert (drift.adopted, drift.missing) == (0, 1)
    assert used(world)["usedBytes"] == 9


def test_a_file_that_is_about_to_be_replaced_is_not_lost(world: World, strict_s3: StrictS3) -> None:
    bucket = a_bucket(world, kind="s3", config=strict_s3.config())
    first = offered(world.bob, "a.txt", size=5)
    post(first, b"hello")
    confirm(world, first)
    for _ in range(3):
        offered(world.bob, "a.txt", size=9, replace=True)
    drift = reconcile(bucket["id"])
    assert (drift.missing, drift.adopted) == (0, 0)
    assert httpx.get(download_url(world, "a.txt")).content == b"hello"


def test_a_store_that_does_not_answer_changes_nothing_and_is_told(
    world: World, strict_s3: StrictS3
) -> None:
    bucket = a_bucket(world, kind="s3", config=strict_s3.config())
    offer = offered(world.bob, "a.txt", size=5)
    post(offer, b"hello")
    confirm(world, offer)
    strict_s3.is_busy = True
    assert reconcile(bucket["id"]).missing == 0
    (seen,) = world.bob.get(buckets_path(world)).json()["buckets"]
    assert "SlowDown" in seen["problem"]
    assert used(world)["usedObjects"] == 1
    strict_s3.is_busy = False
    reconcile(bucket["id"])
    (seen,) = world.bob.get(buckets_path(world)).json()["buckets"]
    assert seen["problem"] == ""


def test_a_listing_that_is_cut_short_declares_nothing_lost(world: World) -> None:
    bucket = a_bucket(world)
    for number in range(3):
        stored(world, f"{number}.txt")
    override_settings(StorageSettings.model_construct(storage_listed_objects=2))
    drift = reconcile(bucket["id"])
    assert (drift.complete, drift.missing) == (False, 0)
    assert used(world)["usedObjects"] == 3


def test_what_uploads_left_in_a_store_elsewhere_is_no_file_of_others(
    world: World, strict_s3: StrictS3
) -> None:
    bucket = a_bucket(world, kind="s3", config=strict_s3.config())
    first = offered(world.bob, "a.txt", size=5)
    post(first, b"first")
    confirm(world, first)
    second = offered(world.bob, "a.txt", size=5, replace=True)
    post(second, b"other")
    with transaction() as session:  # as if it had been given up before its bytes came
        session.delete(session.get_one(StoredObject, second["id"]))
    assert reconcile(bucket["id"]).removed_orphans == 1
    replacing = offered(world.bob, "a.txt", size=5, replace=True)
    post(replacing, b"newer")
    confirm(world, replacing)
    post(first, b"first")  # its form works until it ends
    drift = reconcile(bucket["id"])
    assert (drift.adopted, drift.missing, drift.removed_orphans) == (0, 0, 0)
    assert httpx.get(download_url(world, "a.txt")).content == b"newer"
