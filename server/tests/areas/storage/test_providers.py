"""Every kind of store does the same; what a store elsewhere is signed for holds and no more."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2 as httpx
import pytest
from mainstay_server.areas.storage.models import Kind
from mainstay_server.areas.storage.providers import STORES, DirectStore, Store, direct
from mainstay_server.areas.storage.providers.server import blob_key
from mainstay_server.areas.storage.schemas.stores import Download, Offer, Wanted
from mainstay_server.kernel import blobs, outbound
from mainstay_server.kernel.blob_files import BlobUpload
from mainstay_server.kernel.presigning import LONGEST_SECONDS
from mainstay_server.kernel.problems import Conflict, Invalid, Unavailable
from tests.servers.s3 import S3Server
from tests.servers.strict_s3 import StrictS3
from tests.waiting import PATIENCE_SECONDS
from typing_extensions import override

TEXT = "text/plain"
KEY = "acme/Ünï 1+2&3.txt"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def way_out() -> Iterator[None]:
    outbound.open_outbound(allow_private=True)
    yield
    outbound.close_outbound()


def opened(strict_s3: StrictS3, **more: str) -> DirectStore:
    config = STORES[Kind.S3].checked(strict_s3.config(**more))
    found = direct(Kind.S3, "", config)
    assert found is not None
    return found


def wanted(size: int, place: str = KEY, **more: Any) -> Wanted:
    return Wanted(mark="upload-1", place=place, size_bytes=size, content_type=TEXT, **more)


def send(offer: Offer, data: bytes, **changed: str) -> httpx.Response:
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        if offer.method == "POST":
            fields = {**offer.fields, **changed}
            return client.post(offer.url, data=fields, files={"file": ("x", data)})
        return client.put(offer.url, content=data, headers={**offer.headers, **changed})


@pytest.mark.parametrize("upload_by", ["post", "put"])
def test_what_was_signed_is_taken_found_listed_fetched_and_removed(
    strict_s3: StrictS3, way_out: None, upload_by: str
) -> None:
    store = opened(strict_s3, uploadBy=upload_by)
    store.probe(now=now())
    assert store.find(KEY, now=now()) is None
    offer = store.offer(wanted(5), seconds=60, now=now())
    assert send(offer, b"hello").status_code in (200, 204)

    found = store.find(KEY, now=now())
    assert found is not None
    assert (found.size_bytes, found.mark) == (5, "upload-1")
    assert found.content_type.startswith(TEXT)
    assert [(each.place, each.size_bytes) for each in store.listing(now=now())] == [(KEY, 5)]

    download = Download(place=KEY, filename="Ünï.txt", content_type=TEXT, inline=False, seconds=60)
    fetched = httpx.get(store.download_url(download, now=now()))
    assert fetched.content == b"hello"
    told = fetched.headers["content-disposition"]
    assert told == "attachment; filename*=UTF-8''%C3%9Cn%C3%AF.txt"

    store.remove(KEY, now=now())
    store.remove(KEY, now=now())
    assert store.find(KEY, now=now()) is None


@pytest.mark.parametrize("upload_by", ["post", "put"])
def test_a_byte_more_than_was_signed_is_refused(
    strict_s3: StrictS3, way_out: None, upload_by: str
) -> None:
    store = opened(strict_s3, uploadBy=upload_by)
    offer = store.offer(wanted(5), seconds=60, now=now())
    assert send(offer, b"hello!").status_code in (400, 403)
    assert store.find(KEY, now=now()) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "apps/other"},
        {"Content-Type": "text/html"},
        {"x-amz-meta-mainstay-upload": "another"},
        {"acl": "public-read"},
        {"x-amz-signature": "0" * 64},
    ],
)
def test_a_form_that_was_changed_is_refused(
    strict_s3: StrictS3, way_out: None, changed: dict[str, str]
) -> None:
    offer = opened(strict_s3).offer(wanted(5), seconds=60, now=now())
    assert send(offer, b"hello", **changed).status_code == 403


def test_a_policy_that_was_widened_is_refused(strict_s3: StrictS3, way_out: None) -> None:
    offer = opened(strict_s3).offer(wanted(5), seconds=60, now=now())
    policy = json.loads(base64.b64decode(offer.fields["policy"]))
    policy["conditions"][-1] = ["content-length-range", 0, 10**9]
    wider = base64.b64encode(json.dumps(policy).encode()).decode()
    assert send(offer, b"hello!", policy=wider).status_code == 403


@pytest.mark.parametrize("upload_by", ["post", "put"])
def test_what_was_signed_ends(strict_s3: StrictS3, way_out: None, upload_by: str) -> None:
    store = opened(strict_s3, uploadBy=upload_by)
    offer = store.offer(wanted(5), seconds=60, now=now())
    download = Download(place=KEY, filename="a", content_type=TEXT, inline=False, seconds=60)
    url = store.download_url(download, now=now())
    strict_s3.now = now() + timedelta(seconds=61)
    assert send(offer, b"hello").status_code == 403
    assert httpx.get(url).status_code == 403
    strict_s3.now = now() + timedelta(seconds=30)
    assert send(offer, b"hello").status_code in (200, 204)
    assert httpx.get(url).content == b"hello"


def test_a_download_that_was_changed_is_refused(strict_s3: StrictS3, way_out: None) -> None:
    store = opened(strict_s3)
    for place in (KEY, "secret"):
        send(store.offer(wanted(5, place), seconds=60, now=now()), b"hello")
    download = Download(place=KEY, filename="a", content_type=TEXT, inline=False, seconds=60)
    url = store.download_url(download, now=now())
    assert httpx.get(url).status_code == 200
    other = urlsplit(url).path.rpartition("/acme/")[0] + "/secret"
    for changed in (
        url.replace(urlsplit(url).path, other),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
        url.replace("attachment", "inline"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
    ):
        assert changed != url
        assert httpx.get(changed).status_code == 403
    assert httpx.put(url, content=b"x").status_code == 403


def test_nothing_is_signed_for_longer_than_seven_days(strict_s3: StrictS3, way_out: None) -> None:
    store = opened(strict_s3)
    with pytest.raises(AssertionError, match="seven days"):
        store.offer(wanted(5), seconds=LONGEST_SECONDS + 1, now=now())
    url = store.download_url(
        Download(place="a", filename="a", content_type=TEXT, inline=False, seconds=LONGEST_SECONDS),
        now=now(),
    )
    assert dict(parse_qsl(urlsplit(url).query))["X-Amz-Expires"] == str(LONGEST_SECONDS)


@pytest.mark.parametrize("upload_by", ["post", "put"])
def test_a_checksum_is_part_of_what_is_signed(
    strict_s3: StrictS3, way_out: None, upload_by: str
) -> None:
    store = opened(strict_s3, uploadBy=upload_by)
    digest = hashlib.sha256(b"hello").hexdigest()
    offer = store.offer(wanted(5, sha256=digest), seconds=60, now=now())
    told = base64.b64encode(bytes.fromhex(digest)).decode()
    name = "x-amz-checksum-sha256"
    assert {**offer.fields, **offer.headers}[name] == told
    other = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    assert send(offer, b"other", **{name: other}).status_code == 403
    assert send(offer, b"hello").status_code in (200, 204)


def test_a_large_file_is_sent_in_parts_that_are_signed_one_by_one(
    strict_s3: StrictS3, way_out: None
) -> None:
    store = opened(strict_s3)
    data = bytes(range(256)) * 65536 + b"the rest"
    offer = store.offer(wanted(len(data), in_parts=True), seconds=60, now=now())
    assert [part.size_bytes for part in offer.parts] == [16 << 20, 8]
    etags = []
    for part in offer.parts:
        piece = data[part.offset : part.offset + part.size_bytes]
        assert httpx.put(part.url, content=piece + b"x").status_code == 403
        sent = httpx.put(part.url, content=piece)
        assert sent.status_code == 200
        etags.append(sent.headers["etag"])
    with pytest.raises(Conflict):
        store.complete(KEY, offer.upload_id, [etags[0], '"0"'], now=now())
    store.complete(KEY, offer.upload_id, etags, now=now())
    found = store.find(KEY, now=now())
    assert found is not None
    assert (found.size_bytes, found.mark) == (len(data), "upload-1")


def test_parts_that_are_given_up_are_gone(strict_s3: StrictS3, way_out: None) -> None:
    store = opened(strict_s3)
    offer = store.offer(wanted(5, in_parts=True), seconds=60, now=now())
    store.abandon(KEY, offer.upload_id, now=now())
    store.abandon(KEY, offer.upload_id, now=now())
    assert not httpx.put(offer.parts[0].url, content=b"hello").is_success


def test_a_prefix_keeps_two_buckets_apart(strict_s3: StrictS3, way_out: None) -> None:
    config = strict_s3.config(prefix="ours")
    ours, theirs = (
        direct(Kind.S3, "", STORES[Kind.S3].checked({**config, "prefix": prefix}))
        for prefix in ("ours", "ours-too")
    )
    assert ours is not None
    assert theirs is not None
    send(theirs.offer(wanted(5), seconds=60, now=now()), b"hello")
    assert list(ours.listing(now=now())) == []
    assert ours.find(KEY, now=now()) is None


def test_wrong_keys_and_missing_stores_are_told_when_they_are_tried(
    strict_s3: StrictS3, way_out: None
) -> None:
    for fault in (
        {"secretAccessKey": "wrong"},
        {"bucket": "not-there"},
        {"endpoint": "http://127.0.0.1:9"},
    ):
        config = STORES[Kind.S3].checked({**strict_s3.config(), **fault})
        with pytest.raises(Invalid):
            STORES[Kind.S3].opened("", config).probe(now=now())


def test_an_endpoint_does_not_lead_into_our_own_network(strict_s3: StrictS3) -> None:
    outbound.open_outbound(allow_private=False)
    try:
        store = opened(strict_s3)
        with pytest.raises(Unavailable, match="private"):
            store.find("a", now=now())
    finally:
        outbound.close_outbound()
    assert strict_s3.seen == []


@pytest.mark.parametrize(
    "config",
    [
        {"bucket": "b"},
        {"bucket": "B", "accessKeyId": "a", "secretAccessKey": "s"},
        {"bucket": "bbb", "accessKeyId": "a", "secretAccessKey": "s", "endpoint": "ftp://x"},
        {"bucket": "bbb", "accessKeyId": "a", "secretAccessKey": "s", "prefix": "a//b"},
        {"bucket": "bbb", "accessKeyId": "a", "secretAccessKey": "s", "prefix": "../b"},
        {"bucket": "bbb", "accessKeyId": "a", "secretAccessKey": "s", "uploadBy": "fax"},
        {"bucket": "bbb", "accessKeyId": "a", "secretAccessKey": "s\nx"},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        STORES[Kind.S3].checked(config)


def test_what_is_shown_holds_no_secret_and_google_gets_exact_sizes() -> None:
    config = STORES[Kind.S3].checked(
        {
            "bucket": "files",
            "accessKeyId": "GOOG1",
            "secretAccessKey": "top-secret",
            "endpoint": "https://storage.googleapis.com/",
        }
    )
    assert STORES[Kind.S3].shown(config) == "files at storage.googleapis.com"
    assert config["uploadBy"] == "put"


@pytest.fixture(params=["folder", "memory", "s3"])
def own_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A bucket of the server's own blob store, whatever that is."""
    if request.param == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        blobs.open_blobs(s3.new_bucket())
    else:
        blobs.open_blobs(f"file://{tmp_path}" if request.param == "folder" else "memory://")
    yield STORES[Kind.SERVER].opened("bucket-1", {})
    blobs.close_blobs()


def test_the_servers_own_store_finds_lists_and_removes(own_store: Store) -> None:
    own_store.probe(now=now())
    assert list(own_store.listing(now=now())) == []
    upload = BlobUpload(blob_key("bucket-1", "place-1"))
    upload.write(b"hel")
    upload.write(b"lo")
    assert own_store.find("place-1", now=now()) is None
    upload.publish()
    upload.abort()
    found = own_store.find("place-1", now=now())
    assert found is not None
    assert found.size_bytes == 5
    assert [each.place for each in own_store.listing(now=now())] == ["place-1"]
    assert upload.sha256 == hashlib.sha256(b"hello").hexdigest()
    own_store.remove("place-1", now=now())
    own_store.remove("place-1", now=now())
    assert own_store.find("place-1", now=now()) is None


def test_the_servers_own_store_takes_no_config() -> None:
    with pytest.raises(Invalid):
        STORES[Kind.SERVER].checked({"folder": "/etc"})


@pytest.mark.parametrize(
    ("size", "at"),
    [
        ("many", "2026-01-01T00:00:00Z"),
        ("-5", "2026-01-01T00:00:00Z"),
        ("9" * 40, "2026-01-01T00:00:00Z"),
        ("5", "yesterday"),
    ],
)
def test_a_store_that_says_what_makes_no_sense_is_one_that_is_away(
    way_out: None, size: str, at: str
) -> None:
    row = f"<Contents><Key>apps/a</Key><Size>{size}</Size><LastModified>{at}</LastModified>"
    with answering(f"<ListBucketResult>{row}</Contents></ListBucketResult>".encode()) as strange:
        with pytest.raises(Unavailable, match="makes no sense"):
            list(strange.listing(now=now()))
        with pytest.raises(Unavailable, match="makes no sense"):
            strange.find("a", now=now())


@contextmanager
def answering(body: bytes) -> Iterator[Store]:
    """A store that says the same to everybody, with a checksum that is none."""

    class Strange(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-amz-checksum-sha256", "a")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = {
            "endpoint": f"http://127.0.0.1:{server.server_port}",
            "bucket": "strange",
            "prefix": "apps",
            "accessKeyId": "key",
            "secretAccessKey": "secret",
        }
        yield STORES[Kind.S3].opened("", STORES[Kind.S3].checked(config))
        server.shutdown()
