"""The same promises on every store of objects."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.kernel import blobs
from mainstay_server.kernel.problems import TooLarge, Unavailable
from tests.servers.processes import free_port
from tests.servers.s3 import S3Server, running_s3


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture(params=["file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    kind: str = request.param
    if kind == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        blobs.open_blobs(server.new_bucket())
    else:
        blobs.open_blobs(f"file://{tmp_path}/a%20folder" if kind == "file" else "memory://")
    yield kind
    blobs.close_blobs()


@pytest.mark.usefixtures("store")
def test_what_is_put_can_be_read_measured_and_deleted() -> None:
    blobs.put("dumps/2026/one.bin", b"first")
    blobs.put("dumps/2026/one.bin", b"second")

    assert blobs.get("dumps/2026/one.bin") == b"second"
    assert blobs.size("dumps/2026/one.bin") == 6
    assert blobs.exists("dumps/2026/one.bin")
    blobs.delete("dumps/2026/one.bin")
    assert not blobs.exists("dumps/2026/one.bin")


@pytest.mark.usefixtures("store")
def test_what_is_not_there_says_so() -> None:
    for read in (blobs.get, blobs.stream, blobs.size):
        with pytest.raises(blobs.BlobMissing, match="no/such"):
            read("no/such")
    blobs.delete("no/such")
    assert blobs.list_keys("no") == []


def test_a_large_object_goes_in_and_out_in_pieces(store: str) -> None:
    piece = bytes(range(256)) * 4096

    blobs.put("large", (piece for _ in range(12)))

    assert blobs.size("large") == 12 * len(piece)
    pieces = list(blobs.stream("large"))
    assert len(pieces) > 1 or store == "memory"
    assert b"".join(pieces) == piece * 12
    with pytest.raises(TooLarge):
        blobs.get("large", max_bytes=len(piece))


@pytest.mark.usefixtures("store")
def test_a_source_that_fails_leaves_the_old_object() -> None:
    def broken() -> Iterator[bytes]:
        yield b"n" * 6_000_000
        raise RuntimeError("pg_dump died")

    blobs.put("dump", b"old")
    with pytest.raises(RuntimeError, match="pg_dump died"):
        blobs.put("dump", broken())
    assert blobs.get("dump") == b"old"
    assert blobs.list_keys() == ["dump"]


@pytest.mark.usefixtures("store")
def test_keys_are_listed_in_order_and_in_pages() -> None:
    for key in ("b/2", "a/x/1", "b/10", "bb/1", "c"):
        blobs.put(key, b"")

    assert blobs.list_keys() == ["a/x/1", "b/10", "b/2", "bb/1", "c"]
    assert blobs.list_keys("b") == blobs.list_keys("b/") == ["b/10", "b/2"]
    assert blobs.list_keys(limit=2) == ["a/x/1", "b/10"]
    assert blobs.list_keys(limit=2, after="b/10") == ["b/2", "bb/1"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../b",
        "a//b",
        "a/.",
        "a\\b",
        "a\nb",
        "a#1",
        "x" * 201,
        "a/",
    ],
)
def test_a_key_that_could_lead_elsewhere_is_refused(key: str) -> None:
    for use in (blobs.get, blobs.stream, blobs.size, blobs.exists, blobs.delete):
        with pytest.raises(ValueError, match="not a valid blob key"):
            use(key)
    with pytest.raises(ValueError, match="not a valid blob key"):
        blobs.put(key, b"")


def test_a_half_written_file_is_never_listed(tmp_path: Path) -> None:
    blobs.open_blobs(f"file://{tmp_path}")
    try:
        seen: list[list[str]] = []

        def data() -> Iterator[bytes]:
            yield b"half"
            seen.append(blobs.list_keys())
            assert not blobs.exists("dump")
            yield b"whole"

        blobs.put("dump", data())
        assert (seen, blobs.list_keys()) == ([[]], ["dump"])
        assert [path.name for path in tmp_path.iterdir()] == ["dump"]
    finally:
        blobs.close_blobs()


def test_a_store_that_is_away_is_unavailable_and_does_not_show_the_secret() -> None:
    blobs.open_blobs(
        f"s3://bucket?endpoint=http://127.0.0.1:{free_port()}&region=x"
        "&access_key_id=a&secret_access_key=hidden"
    )
    try:
        with pytest.raises(Unavailable) as caught:
            blobs.size("key")
    finally:
        blobs.close_blobs()
    assert "hidden" not in caught.value.detail


@pytest.mark.parametrize("url", ["ftp://x", "s3://", "nonsense", "s3://b?no_such_option=1"])
def test_an_url_that_makes_no_sense_does_not_open(url: str) -> None:
    with pytest.raises(ValueError, match="MAINSTAY_BLOBS_URL"):
        blobs.open_blobs(url)
