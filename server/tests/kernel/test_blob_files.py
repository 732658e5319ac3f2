"""Blobs piece by piece: seen when they are whole, read anywhere, gone without a trace if not."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.kernel import blobs
from mainstay_server.kernel.blob_files import BlobUpload, find_blob, open_blob, walk_blobs
from mainstay_server.kernel.blobs import BlobMissing

KEY = "storage/a/b"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    blobs.open_blobs(f"file://{tmp_path}" if request.param == "folder" else "memory://")
    yield tmp_path
    blobs.close_blobs()


def uploaded(data: bytes) -> BlobUpload:
    upload = BlobUpload(KEY)
    for start in range(0, len(data), 1000):
        upload.write(data[start : start + 1000])
    return upload


def test_nobody_sees_a_blob_before_it_is_whole(store: Path) -> None:
    upload = uploaded(b"x" * 2500)
    assert not blobs.exists(KEY)
    assert list(walk_blobs("storage")) == []
    upload.publish()
    assert blobs.get(KEY) == b"x" * 2500
    assert (upload.size_bytes, upload.sha256) == (2500, hashlib.sha256(b"x" * 2500).hexdigest())
    (found,) = walk_blobs("storage")
    assert (found.key, found.size_bytes) == (KEY, 2500)
    assert find_blob(KEY) == found


def test_what_is_aborted_leaves_nothing(store: Path) -> None:
    upload = uploaded(b"half")
    upload.abort()
    upload.abort()
    assert not blobs.exists(KEY)
    assert [path for path in store.rglob("*") if path.is_file()] == []


def test_a_blob_is_read_anywhere_and_to_its_end(store: Path) -> None:
    data = bytes(range(250)) * 4
    upload = uploaded(data)
    upload.publish()
    upload.abort()
    reading = open_blob(KEY)
    assert reading.size_bytes == 1000
    assert reading.read(0, 10) == data[:10]
    assert reading.read(990, 100) == data[990:]
    assert reading.read(1000, 10) == b""
    reading.close()
    with pytest.raises(BlobMissing):
        open_blob("storage/a/none")
    assert find_blob("storage/a/none") is None
