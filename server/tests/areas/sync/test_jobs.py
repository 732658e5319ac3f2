"""Room is given back: never a chunk that a snapshot has or a push may need, all else in the end."""

import os
from datetime import datetime, timedelta
from typing import Any

import obstore
import pytest
import sqlalchemy as sa
from mainstay_server.areas.sync import jobs
from mainstay_server.areas.sync.service import sweeping
from mainstay_server.kernel import blobs
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import engine, new_id
from tests.areas.sync.worlds import Client, a_file, digest
from tests.world import World

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def laptop(world: World) -> Client:
    client = Client(world)
    client.make_folder()
    return client


def sweep(later: timedelta) -> None:
    jobs.sweep_chunks.function(now=utc_now() + later)


def walks_counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the store is asked for a listing, from now on."""
    walks: list[str] = []
    listed = obstore.list

    def counted(*args: Any, **options: Any) -> Any:
        walks.append("a walk")
        return listed(*args, **options)

    monkeypatch.setattr(obstore, "list", counted)
    return walks


def packs() -> list[str]:
    return [key for key in blobs.list_keys("sync") if "/packs/" in key]


def test_a_chunk_without_a_snapshot_stays_for_the_time_of_grace_and_then_goes(
    laptop: Client,
) -> None:
    laptop.send(b"under way")
    sweep(DAY - HOUR)
    assert laptop.missing(b"under way") == []
    sweep(DAY + HOUR)
    assert laptop.missing(b"under way") == [digest(b"under way")]
    sweep(DAY + HOUR)
    assert packs() == []


def test_asking_about_a_chunk_keeps_it_for_another_time_of_grace(
    laptop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop.send(b"under way")
    tomorrow = utc_now() + DAY
    monkeypatch.setattr("mainstay_server.areas.sync.api.utc_now", lambda: tomorrow)
    assert laptop.missing(b"under way") == []
    sweep(DAY + HOUR)
    assert laptop.push(a_file("a", b"under way")).status_code == 201


def test_what_any_kept_snapshot_has_stays_and_the_rest_of_its_pack_is_let_go(
    world: World, laptop: Client
) -> None:
    old, kept = os.urandom(50_000), os.urandom(5_000)
    laptop.send(old, kept)
    laptop.push(a_file("old", old), a_file("kept", kept))
    laptop.push(removed=["old"])
    (pack,) = packs()
    sweep(30 * DAY)
    assert packs() == [pack], "the first snapshot still has all of it"

    world.alice.delete(f"{laptop.folder}/snapshots/1")
    sweep(30 * DAY)
    assert laptop.missing(old, kept) == [digest(old)]
    assert laptop.download(2, "kept").content == kept
    sweep(30 * DAY)
    (packed_anew,) = packs()
    assert blobs.size(packed_anew) < 6_000
    assert laptop.download(2, "kept").content == kept


def test_objects_of_a_push_that_was_killed_and_of_a_removed_folder_go(
    world: World, laptop: Client
) -> None:
    laptop.pushed({"a": b"hello"})
    assert len(blobs.list_keys("sync")) == 2
    lost = f"sync/{world.instance.project_id}/packs/{new_id()}"
    blobs.put(lost, b"before its row was written")
    sweep(DAY - HOUR)
    assert lost in blobs.list_keys("sync")
    world.alice.delete(laptop.folder)
    sweep(30 * DAY)
    sweep(30 * DAY)
    assert blobs.list_keys("sync") == []


def test_when_a_snapshot_cannot_be_read_nothing_is_let_go(world: World, laptop: Client) -> None:
    laptop.pushed({"a": b"hello"})
    laptop.send(b"nobody's")
    (manifest,) = [key for key in blobs.list_keys("sync") if "/snapshots/" in key]
    blobs.delete(manifest)
    with pytest.raises(blobs.BlobMissing):
        sweep(30 * DAY)
    assert laptop.missing(b"hello", b"nobody's") == []


def test_a_sweep_that_is_told_an_old_time_takes_nothing_new(laptop: Client) -> None:
    laptop.pushed({"a": b"hello"})
    jobs.sweep_chunks.function(now=datetime.fromisoformat("2001-01-01T00:00:00+00:00"))
    assert laptop.download(1, "a").content == b"hello"


def test_all_objects_are_looked_through_in_one_walk_however_many_there_are(
    laptop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        laptop.send(b"%d" % number)
    lost = [f"sync/{new_id()}/packs/{new_id()}" for _ in range(5)]
    for key in lost:
        blobs.put(key, b"lost")
    monkeypatch.setattr("mainstay_server.areas.sync.service.sweeping.AT_ONCE", 2)
    walks = walks_counted(monkeypatch)
    assert sweeping.remove_lost_objects(before=utc_now() + DAY) == 5
    assert len(walks) == 1
    assert len(packs()) == 5


def test_no_transaction_is_open_while_the_entries_of_snapshots_are_read(
    laptop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop.pushed({"a": b"kept"})
    connections: list[int] = []
    pool = engine().pool
    assert isinstance(pool, sa.pool.QueuePool)

    def noted(key: str, **options: int) -> bytes:
        connections.append(pool.checkedout())
        return get(key, **options)

    get = blobs.get
    monkeypatch.setattr(blobs, "get", noted)
    sweep(DAY + HOUR)
    assert laptop.download(1, "a").content == b"kept"
    assert len(connections) >= 2
    assert set(connections) == {0}
