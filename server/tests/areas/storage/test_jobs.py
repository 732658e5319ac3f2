import os
from datetime import timedelta
from pathlib import Path

from mainstay_server.areas.storage import jobs
from mainstay_server.areas.storage.models import Link, StoredObject
from mainstay_server.kernel import blobs
from mainstay_server.kernel.blob_files import BlobUpload
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from tests.areas.storage.putting import STORAGE, a_bucket, offered, stored, used
from tests.world import World


def test_what_was_reserved_and_never_came_is_given_back(world: World) -> None:
    a_bucket(world)
    offered(world.bob, "a.txt", size=5)
    assert jobs.settle_uploads.function(now=utc_now()) == 0
    assert jobs.settle_uploads.function(now=utc_now() + timedelta(hours=2)) == 1
    assert used(world)["reservedBytes"] == 0


def test_each_bucket_is_compared_with_its_store_every_six_hours(world: World) -> None:
    a_bucket(world)
    assert jobs.reconcile.function(now=utc_now()) == 1
    assert jobs.reconcile.function(now=utc_now() + timedelta(hours=5)) == 0
    assert jobs.reconcile.function(now=utc_now() + timedelta(hours=7)) == 1


def test_what_a_crash_left_is_swept_when_nobody_writes_it_any_more(tmp_path: Path) -> None:
    blobs.open_blobs(f"file://{tmp_path}")
    try:
        begun = [BlobUpload(f"storage/b/aa/{name}") for name in ("crashed", "going-on")]
        for upload in begun:
            upload.write(b"half of it")
        (crashed,) = tmp_path.rglob("crashed#*")
        (going_on,) = tmp_path.rglob("going-on#*")
        old = (utc_now() - timedelta(hours=2)).timestamp()
        os.utime(crashed, (old, old))
        assert jobs.sweep.function(now=utc_now()) == 1
        assert not crashed.exists()
        assert going_on.exists()
        for upload in begun:
            upload.abort()
    finally:
        blobs.close_blobs()


def test_each_day_is_written_down_once(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt")
    for _ in range(2):
        with transaction() as session:
            assert jobs.record_day.function(session, now=utc_now()) == 1
    (day,) = world.bob.get(f"{STORAGE}/stats").json()["byDay"]
    assert (day["day"], day["usedBytes"]) == (utc_now().date().isoformat(), 5)


def test_links_and_deleted_files_are_forgotten_a_week_later(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt")
    world.bob.post(f"{STORAGE}/download-url", json={"key": "a.txt"})
    world.bob.delete(f"{STORAGE}/files", params={"key": "a.txt"})
    with transaction() as session:
        assert jobs.forget.function(session, now=utc_now() + timedelta(days=6)) == 0
        assert jobs.forget.function(session, now=utc_now() + timedelta(days=8)) == 2
    with reading() as session:
        assert session.query(Link).count() == session.query(StoredObject).count() == 0
