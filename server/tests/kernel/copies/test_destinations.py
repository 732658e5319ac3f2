"""Destinations show whole objects only, keep what is locked, and say why they cannot."""

import base64
import hashlib
import http.client
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mainstay_server.kernel.copies import buckets
from mainstay_server.kernel.copies.destinations import CopyMissing, DestinationFailed, Locked
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.running import CopyFailed, WritePlan
from tests.kernel.copies.worlds import Key, content, key, opened_by_tools, write_copy
from tests.servers.processes import free_port
from tests.servers.s3 import S3Server, s3
from typing_extensions import override

__all__ = ["key", "s3"]

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
COPY = "shop/one.dump.zst.age"
MIB = 1 << 20


def ask(s3: S3Server, method: str, path: str, headers: dict[str, str], body: str = "") -> None:
    connection = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=60)
    who = "AWS4-HMAC-SHA256 Credential=test/20260601/us-east-1/s3/aws4_request"
    signed = {"authorization": f"{who}, SignedHeaders=host, Signature=moto-reads-none"}
    connection.request(method, path, body=body, headers={**signed, **headers})
    answer = connection.getresponse()
    assert answer.status == http.client.OK, answer.read()
    connection.close()


def locking_bucket(s3: S3Server) -> str:
    """A bucket whose objects can be locked; it keeps every version, as such buckets must."""
    url = s3.new_bucket()
    name = urlsplit(url).netloc
    ask(s3, "PUT", f"/locking-{name}", {"x-amz-bucket-object-lock-enabled": "true"})
    return url.replace(name, f"locking-{name}")


def lock(s3: S3Server, url: str, key: str, *, until: datetime) -> datetime:
    """Keep one object of such a bucket until then."""
    parts = urlsplit(url)
    rule = (
        "<Retention><Mode>COMPLIANCE</Mode>"
        f"<RetainUntilDate>{until:%Y-%m-%dT%H:%M:%SZ}</RetainUntilDate></Retention>"
    )
    ask(s3, "PUT", f"/{parts.netloc}{parts.path}/{key}?retention", {}, rule)
    return until


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> str:
    return s3.new_bucket() if request.param == "bucket" else f"file://{tmp_path}/copies"


def test_what_is_put_is_listed_streamed_and_removed(url: str) -> None:
    destination = open_destination(url)
    destination.put("shop/b.json", b"first")
    destination.put("shop/b.json", b"second")
    destination.put("other/a.json", b"x")

    assert destination.keys("shop") == ["shop/b.json"]
    assert destination.keys("") == ["other/a.json", "shop/b.json"]
    assert b"".join(destination.stream("shop/b.json")) == b"second"
    destination.remove("shop/b.json", now=NOON)
    destination.remove("shop/b.json", now=NOON)
    assert destination.keys("shop") == []
    with pytest.raises(CopyMissing, match="There is no shop/b"):
        destination.stream("shop/b.json")


def test_an_aborted_upload_leaves_nothing(url: str) -> None:
    destination = open_destination(url)
    upload = destination.begin(COPY, expected_bytes=0)
    for _ in range(18):
        upload.write(bytes(MIB))

    upload.abort()

    assert destination.keys("") == []
    assert destination.sweep("", running=()) == []


def test_the_janitor_removes_what_a_crash_left_but_not_what_still_runs(url: str) -> None:
    destination = open_destination(url)
    uploads = [destination.begin(f"shop/{n}.age", expected_bytes=0) for n in ("one", "two")]
    for upload in uploads:
        for _ in range(18):
            upload.write(bytes(MIB))

    assert destination.sweep("other", running=()) == []
    assert destination.sweep("shop", running=["shop/one.age"]) == ["shop/two.age"]
    assert destination.sweep("shop", running=()) == ["shop/one.age"]
    assert destination.sweep("", running=()) == []
    for upload in uploads:
        upload.abort()  # what the janitor took already is no error


def test_a_locked_object_stays_and_says_until_when(s3: S3Server) -> None:
    url = locking_bucket(s3)
    destination = open_destination(url)
    destination.put(COPY, b"kept")
    until = lock(s3, url, COPY, until=NOON + timedelta(days=30))

    with pytest.raises(Locked, match=r"is locked until 2026-07-01T12:00:00\+00:00") as refusal:
        destination.remove(COPY, now=NOON)

    assert refusal.value.until == until
    assert destination.keys("") == [COPY]


def test_in_a_bucket_with_versions_the_version_itself_is_deleted(s3: S3Server) -> None:
    url = locking_bucket(s3)
    destination = open_destination(url)
    destination.put(COPY, b"gone")

    destination.remove(COPY, now=NOON)

    bucket = urlsplit(url).netloc
    connection = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=60)
    connection.request("GET", f"/{bucket}?versions")
    listed = connection.getresponse().read()
    assert COPY.encode() not in listed


@contextmanager
def small_disk(folder: Path, *, mib: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "mainstay-copies", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.fail(
            f"A small disk cannot be mounted ({mounted.stderr.strip()}). Run the tests as root, in"
            " a container with --cap-add SYS_ADMIN.",
            pytrace=False,
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_said_and_costs_no_old_copy(key: Key, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=20) as disk:
        urls = {"disk": f"file://{disk}"}
        old = content(4 * MIB)
        plan = WritePlan(COPY, urls, [key.public])
        assert write_copy(plan, old)[1] == {"disk": None}
        too_much = WritePlan("shop/two.dump.zst.age", urls, [key.public])

        with pytest.raises(CopyFailed, match="The disk is full; free some space"):
            write_copy(too_much, content(60 * MIB))

        assert sorted(path.name for path in (disk / "shop").iterdir()) == [
            "one.dump.zst.age",
            "one.manifest.json",
        ]
        assert opened_by_tools(disk / COPY, key, tmp_path) == old
        assert write_copy(too_much, content(4 * MIB))[1] == {"disk": None}


def test_a_store_that_is_away_says_so(s3: S3Server) -> None:
    url = s3.new_bucket().replace(str(s3.port), str(free_port()))

    with pytest.raises(DestinationFailed, match="did not answer"):
        open_destination(url).sweep("", running=())


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that answers everybody so, and the first lines of what was asked there."""
    asked: list[bytes] = []

    class Same(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @override
        def handle_one_request(self) -> None:
            asked.append(self.rfile.readline())
            self.parse_head()
            self.wfile.write(answer)
            self.close_connection = True

        def parse_head(self) -> None:
            length = 0
            while (line := self.rfile.readline()).strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            self.rfile.read(length)

    with ThreadingHTTPServer(("127.0.0.1", 0), Same) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_of_a_store_leads_to_its_neighbours(status: int) -> None:
    with answering(b"HTTP/1.1 403 No\r\ncontent-length: 6\r\n\r\nsecret") as (port, asked):
        head = f"HTTP/1.1 {status} Over there\r\nlocation: http://127.0.0.1:{port}/inside\r\n"
        with answering(f"{head}content-length: 0\r\n\r\n".encode()) as (strange, _):
            keys = "access_key_id=a&secret_access_key=b"
            there = open_destination(f"s3://bucket/p?endpoint=http://127.0.0.1:{strange}&{keys}")
            upload = there.begin(COPY, expected_bytes=0)
            ways: list[Callable[[], object]] = [
                lambda: there.put(COPY, b"x"),
                lambda: b"".join(there.stream(COPY)),
                lambda: there.keys(""),
                lambda: there.remove(COPY, now=NOON),
                lambda: there.sweep(""),
                lambda: upload.write(bytes(17 * MIB)),
            ]
            for way in ways:
                with pytest.raises(DestinationFailed, match=f"refused .{status}, no reason given"):
                    way()
            with suppress(DestinationFailed):
                upload.abort()
    assert asked == []


def test_what_a_store_says_beside_its_code_is_told_to_nobody() -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>the-secret-of-others</Message></Error>"
    for said, told in ((body, "403, AccessDenied"), (b"<Code>the secret</Code>", "no reason")):
        answer = b"HTTP/1.1 403 No\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said)
        with answering(answer) as (port, _):
            keys = "access_key_id=a&secret_access_key=b"
            there = open_destination(f"s3://bucket/p?endpoint=http://127.0.0.1:{port}&{keys}")
            with pytest.raises(DestinationFailed) as refusal:
                b"".join(there.stream(COPY))
        assert told in str(refusal.value)
        assert "secret" not in str(refusal.value)


def test_a_line_that_breaks_is_taken_up_where_it_was(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.new_bucket()
    data = content(9 * MIB)
    open_destination(url).put(COPY, data)
    monkeypatch.setattr(buckets, "PAUSES", (0.0, 0.0))
    read = http.client.HTTPResponse.read
    reads = 0

    def breaking(answer: http.client.HTTPResponse, size: int | None = None) -> bytes:
        nonlocal reads
        reads += 1
        if reads in (3, 6):
            raise ConnectionResetError
        return read(answer, size)

    monkeypatch.setattr(http.client.HTTPResponse, "read", breaking)
    assert b"".join(open_destination(url).stream(COPY)) == data
    assert reads > 6


@contextmanager
def wanting_md5(s3: S3Server) -> Iterator[tuple[int, list[int]]]:
    """A door to the store that takes bytes only with their MD5, as Amazon's locked buckets do.

    Its second value lists the statuses of all that was put.
    """
    put: list[int] = []
    refusal = b"<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP"
    refusal += b" header is required for Put requests with Object Lock parameters</Message></Error>"

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            wanted = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            if self.command == "PUT" and self.headers.get("content-md5") != wanted:
                self.reply(http.client.BAD_REQUEST, {}, refusal)
                return
            behind = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=60)
            behind.request(self.command, self.path, body=body, headers=dict(self.headers))
            answer = behind.getresponse()
            self.reply(answer.status, dict(answer.getheaders()), answer.read())

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            if self.command == "PUT":
                put.append(status)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() in {"etag", "content-type"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, put
        server.shutdown()


def test_a_bucket_that_wants_an_md5_gets_it_once_it_has_said_so(s3: S3Server) -> None:
    with wanting_md5(s3) as (port, put):
        there = open_destination(s3.new_bucket().replace(str(s3.port), str(port)))
        data = content(20 * MIB)
        upload = there.begin(COPY, expected_bytes=len(data))
        upload.write(data)
        upload.commit()
        there.put(f"{COPY}.json", b"{}")

        assert b"".join(there.stream(COPY)) == data
        assert b"".join(there.stream(f"{COPY}.json")) == b"{}"
        assert put.count(http.client.BAD_REQUEST) <= buckets.PARTS_AT_ONCE


def test_an_url_that_opens_nothing_is_refused() -> None:
    for url in ("file://host", "s3://", "ftp://there/x", "/a/path"):
        with pytest.raises(ValueError, match="A destination's URL must be"):
            open_destination(url)
    with pytest.raises(ValueError, match="lacks access_key_id and secret_access_key"):
        open_destination("s3://bucket/prefix")


def test_no_key_leaves_the_folder(tmp_path: Path) -> None:
    for path in ("../x", "/x", "a//b", "a/../b"):
        with pytest.raises(ValueError, match="not a valid"):
            open_destination(f"file://{tmp_path}").put(path, b"")
