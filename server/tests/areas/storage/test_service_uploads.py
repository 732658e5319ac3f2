"""Uploads into a store elsewhere, from the wish to the file that counts, and what goes wrong."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2 as httpx
import pytest
from mainstay_server.areas.storage.models import Bucket, StoredObject
from mainstay_server.areas.storage.providers import DirectStore
from mainstay_server.areas.storage.schemas.stores import Wanted
from mainstay_server.areas.storage.service import buckets, uploads
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from tests.areas.storage.putting import (
    STORAGE,
    a_bucket,
    buckets_path,
    download_url,
    offered,
    put,
    used,
)
from tests.servers.strict_s3 import StrictS3
from tests.waiting import PATIENCE_SECONDS
from tests.world import World

LATER = timedelta(hours=3)
BYTES = "application/octet-stream"


def post(offer: dict[str, Any], data: bytes) -> httpx.Response:
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        if offer["method"] == "POST":
            return client.post(offer["url"], data=offer["fields"], files={"file": data})
        return client.put(offer["url"], content=data, headers=offer["headers"])


def confirm(world: World, offer: dict[str, Any], **body: Any) -> httpx.Response:
    return world.bob.post(f"{STORAGE}/files", json={"id": offer["id"], **body})


@pytest.fixture
def far(world: World, strict_s3: StrictS3) -> StrictS3:
    a_bucket(world, kind="s3", config=strict_s3.config())
    return strict_s3


def test_a_file_goes_straight_to_the_store_and_counts_when_it_was_looked_at(
    world: World, far: StrictS3
) -> None:
    offer = offered(world.bob, "acme/a.txt", size=10, contentType="text/plain")
    assert (offer["method"], offer["confirm"]) == ("POST", True)
    early = confirm(world, offer)
    assert early.status_code == 409
    assert post(offer, b"hello").is_success
    done = confirm(world, offer)
    assert (done.status_code, done.json()["size"]) == (200, 5)
    assert confirm(world, offer).json() == done.json()
    assert (used(world)["usedBytes"], used(world)["reservedBytes"]) == (5, 0)
    assert httpx.get(download_url(world, "acme/a.txt")).content == b"hello"


def test_a_counted_link_leads_to_the_store_for_a_minute(world: World, far: StrictS3) -> None:
    offer = offered(world.bob, "a.txt", size=5)
    post(offer, b"hello")
    confirm(world, offer)
    body = {"key": "a.txt", "uses": 1}
    url = world.bob.post(f"{STORAGE}/download-url", json=body).json()["url"]
    leads = world.stranger.get(url)
    assert leads.status_code == 302
    assert "X-Amz-Expires=60&" in leads.headers["location"]
    assert httpx.get(leads.headers["location"]).content == b"hello"
    assert world.stranger.get(url).status_code == 410


def test_what_nobody_confirms_is_found_and_counted_by_the_job(world: World, far: StrictS3) -> None:
    offer = offered(world.bob, "a.txt", size=5)
    post(offer, b"hello")
    assert uploads.settle_uploads(now=utc_now() + timedelta(minutes=90)) == 0
    assert uploads.settle_uploads(now=utc_now() + LATER) == 1
    assert used(world)["usedObjects"] == 1
    assert uploads.settle_uploads(now=utc_now() + LATER) == 0


def test_what_never_comes_is_given_back_and_says_why(world: World, far: StrictS3) -> None:
    parts = offered(world.bob, "big", size=20 << 20, multipart=True)
    assert len(parts["parts"]) == 2
    plain = offered(world.bob, "a.txt", size=5)
    assert uploads.settle_uploads(now=utc_now() + LATER) == 2
    assert (used(world)["reservedBytes"], used(world)["reservedObjects"]) == (0, 0)
    over = confirm(world, plain)
    assert (over.status_code, over.json()["code"]) == (410, "upload-over")
    assert "in time" in over.json()["detail"]
    deletes = [path for method, path in far.seen if method == "DELETE" and "uploadId" in path]
    assert len(deletes) == 1


def test_an_old_file_of_the_same_key_is_not_taken_for_the_new_one(
    world: World, far: StrictS3
) -> None:
    first = offered(world.bob, "a.txt", size=5)
    post(first, b"hello")
    confirm(world, first)
    second = offered(world.bob, "a.txt", size=50, replace=True)
    assert confirm(world, second).status_code == 409
    post(second, b"hello again")
    assert confirm(world, second).json()["size"] == 11
    assert (used(world)["usedBytes"], used(world)["usedObjects"]) == (11, 1)


def test_a_large_file_is_put_together_of_its_parts(world: World, far: StrictS3) -> None:
    data = b"0123456789abcdef" * (1 << 20) + b"the rest"
    offer = offered(world.bob, "big.bin", size=len(data), multipart=True)
    etags = [
        httpx.put(
            part["url"], content=data[part["offset"] : part["offset"] + part["size"]]
        ).headers["etag"]
        for part in offer["parts"]
    ]
    assert confirm(world, offer, parts=[etags[0], '"wrong"']).status_code == 409
    assert confirm(world, offer, parts=etags).json()["size"] == len(data)


def test_what_turns_out_to_be_something_else_is_deleted(world: World, far: StrictS3) -> None:
    offer = offered(world.bob, "a.txt", size=5, sha256="0" * 64)
    with reading() as session:
        bucket = session.get_one(Bucket, offer["bucket"])
        file = session.get_one(StoredObject, offer["id"])
    # moto takes a checksum that is not that of the bytes, as a careless store would
    assert post(offer, b"hello").is_success
    refused = confirm(world, offer)
    assert (refused.status_code, refused.json()["code"]) == (409, "upload-refused")
    assert used(world)["reservedBytes"] == 0
    store = buckets.store_of(bucket)
    assert store.find(file.place, now=utc_now()) is None


@pytest.mark.parametrize("by_job", [False, True])
def test_an_upload_whose_key_was_taken_ends_and_harms_nothing(
    world: World, far: StrictS3, *, by_job: bool
) -> None:
    first, second = (offered(world.bob, "a.txt", size=5) for _ in range(2))
    post(first, b"first")
    assert confirm(world, first).status_code == 200
    assert post(second, b"other").is_success
    if by_job:
        assert uploads.settle_uploads(now=utc_now() + LATER) == 1
        assert uploads.settle_uploads(now=utc_now() + LATER) == 0
    else:
        taken = confirm(world, second)
        assert (taken.status_code, taken.json()["code"]) == (409, "key-taken")
    over = confirm(world, second)
    assert (over.status_code, over.json()["code"]) == (410, "upload-over")
    assert "Another file" in over.json()["detail"]
    assert used(world)["reservedBytes"] == used(world)["reservedObjects"] == 0
    assert (used(world)["usedBytes"], used(world)["usedObjects"]) == (5, 1)
    assert httpx.get(download_url(world, "a.txt")).content == b"first"
    assert places(second) == ["a.txt"]


def test_a_replacement_that_is_refused_leaves_the_file_that_was_there(
    world: World, far: StrictS3
) -> None:
    first = offered(world.bob, "a.txt", size=5)
    post(first, b"first")
    confirm(world, first)
    wrong = offered(world.bob, "a.txt", size=5, replace=True, sha256="0" * 64)
    post(wrong, b"other")
    assert confirm(world, wrong).json()["code"] == "upload-refused"
    assert httpx.get(download_url(world, "a.txt")).content == b"first"

    right = offered(world.bob, "a.txt", size=5, replace=True)
    post(right, b"newer")
    assert confirm(world, right).status_code == 200
    assert httpx.get(download_url(world, "a.txt")).content == b"newer"
    assert len(places(right)) == 1, "the one before takes no room any more"


def test_what_an_older_version_sent_over_a_file_is_that_file_from_then_on(
    world: World, far: StrictS3
) -> None:
    first, second = (offered(world.bob, "a.txt", size=5) for _ in range(2))
    post(first, b"first")
    assert confirm(world, first).status_code == 200
    with transaction() as session:
        session.get_one(StoredObject, second["id"]).place = "a.txt"
    wanted = Wanted(mark=second["id"], place="a.txt", size_bytes=5, content_type=BYTES)
    over = store_of(second).offer(wanted, seconds=60, now=utc_now())
    assert post(vars(over), b"over").is_success
    assert confirm(world, second).json()["size"] == 4
    assert httpx.get(download_url(world, "a.txt")).content == b"over"
    assert (used(world)["usedBytes"], used(world)["usedObjects"]) == (4, 1)


def places(offer: dict[str, Any]) -> list[str]:
    """Where something lies in the store of an upload."""
    return [found.place for found in store_of(offer).listing(now=utc_now())]


def store_of(offer: dict[str, Any]) -> DirectStore:
    with reading() as session:
        store = buckets.direct_store_of(session.get_one(Bucket, offer["bucket"]))
    assert store is not None
    return store


def test_a_store_that_is_away_is_told_as_that_and_nothing_is_lost(
    world: World, far: StrictS3
) -> None:
    offer = offered(world.bob, "a.txt", size=5)
    post(offer, b"hello")
    far.is_busy = True
    away = confirm(world, offer)
    assert (away.status_code, away.json()["code"]) == (503, "store-refused")
    assert uploads.settle_uploads(now=utc_now() + LATER) == 0
    far.is_busy = False
    assert confirm(world, offer).status_code == 200


def test_credentials_are_changed_where_they_are_and_never_told(world: World, far: StrictS3) -> None:
    (bucket,) = world.alice.get(buckets_path(world)).json()["buckets"]
    assert "secret" not in str(bucket).lower()
    one = f"{buckets_path(world)}/{bucket['id']}"
    wrong = world.alice.patch(one, json={"config": {"secretAccessKey": "wrong"}})
    assert wrong.status_code == 400
    moved = world.alice.patch(one, json={"config": far.config()})
    assert moved.status_code == 400
    assert "stays where it is" in moved.json()["detail"]
    right = world.alice.patch(one, json={"config": {"secretAccessKey": "test-secret-key"}})
    assert right.status_code == 200
    with reading() as session:
        raw = session.connection().exec_driver_sql("SELECT config FROM storage_buckets").scalar()
    assert "test-secret-key" not in str(raw)


def test_a_reservation_on_this_server_ends_too(
    world_here: Callable[[], World],
) -> None:
    world = world_here()
    offer = offered(world.bob, "a.txt", size=5)
    assert uploads.settle_uploads(now=utc_now() + timedelta(minutes=70)) == 0
    assert uploads.settle_uploads(now=utc_now() + timedelta(minutes=80)) == 1
    assert used(world)["reservedBytes"] == 0
    gone = put(world, offer, b"hello")
    assert (gone.status_code, gone.json()["code"]) == (410, "upload-over")


@pytest.fixture
def world_here(world: World) -> Callable[[], World]:
    def here() -> World:
        a_bucket(world)
        return world

    return here
