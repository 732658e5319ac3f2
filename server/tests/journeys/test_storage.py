"""Files in a real server: uploaded in a browser, and not there at all when the server is killed."""

import http.client
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from tests.browsing import CHROMIUM, CHROMIUM_FLAGS, LOOKS, faults_of, new_look, watch
from tests.journeys.running import PROJECT, Mainstay, bootstrap, running_mainstay
from tests.journeys.test_pages import keep_picture, sign_in
from tests.servers.s3 import S3Server, s3
from tests.servers.strict_s3 import running_strict_s3
from tests.waiting import PATIENCE_SECONDS, eventually
from typing_extensions import override

__all__ = ["s3"]

pytestmark = pytest.mark.slow

STORAGE = "/api/v1/storage"
PAGE = f"/dashboard/projects/{PROJECT}/storage"
MIB = 1 << 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


def make_bucket(server: Mainstay, name: str, **body: Any) -> dict[str, Any]:
    path = f"/api/instances/{server.instance_id}/buckets"
    answer = server.call("POST", path, json={"name": name, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def offered(server: Mainstay, bucket: str, key: str, size: int, **body: Any) -> dict[str, Any]:
    wish = {"bucket": bucket, "key": key, "size": size, **body}
    answer = server.call("POST", f"{STORAGE}/upload-url", json=wish)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def store(server: Mainstay, bucket: str, key: str, data: bytes, **body: Any) -> None:
    offer = offered(server, bucket, key, len(data), **body)
    answer = httpx.put(offer["url"], content=data, headers=offer["headers"], timeout=60)
    assert answer.status_code == 201, answer.text


def keys(server: Mainstay, bucket: str) -> list[str]:
    found = server.get(f"{STORAGE}/files?bucket={bucket}&limit=200")
    return [file["key"] for file in found["files"]]


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    """A bucket with a lot in it, nearly full, and links of every state."""
    with running_mainstay() as running:
        path = f"/api/instances/{running.instance_id}"
        made = make_bucket(running, "full", quotaBytes=400_000, ownerQuotaBytes=200_000)
        for owner, count in (("acme", 40), ("zeta-with-a-rather-long-name-that-has-to-break", 5)):
            for number in range(count):
                kind = ("application/pdf", "image/png", "text/plain")[number % 3]
                key = f"{owner}/insight/ann/report {number:03}.pdf"
                store(running, made["id"], key, b"x" * 4500, contentType=kind)
        for number in range(120):
            store(running, made["id"], f"top-{number:03}.txt", b"x" * 1000)
        for body in ({"uses": 1, "note": "for the auditor"}, {}, {"expiresIn": 60}):
            wish = {"bucket": made["id"], "key": "top-000.txt", **body}
            running.call("POST", f"{STORAGE}/download-url", json=wish)
        links = running.get(f"{path}/buckets/{made['id']}/links")["links"]
        running.call("DELETE", f"{path}/buckets/{made['id']}/links/{links[0]['id']}")
        yield running


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_a_bucket_with_a_lot_in_it_is_quiet_fits_and_is_usable_by_everyone(
    server: Mainstay, browser: Browser, theme: str, width: int
) -> None:
    context = new_look(browser, theme=theme, width=width, url=server.url)
    page = sign_in(context, server)
    complaints: list[str] = []
    watch(page, complaints)
    faults = {}
    for name, query in (("top", ""), ("folder", "&prefix=acme/insight/ann/"), ("found", "&q=00")):
        page.goto(f"{server.url}{PAGE}?bucket=full{query}")
        faults[name] = faults_of(page, width=width)
        keep_picture(page, f"storage-{name}-{theme}-{width}")
    page.get_by_role("button", name="Link to").first.click()
    faults["dialog"] = faults_of(page, width=width)
    keep_picture(page, f"storage-dialog-{theme}-{width}")
    context.close()
    assert {name: found for name, found in faults.items() if found} == {}
    assert complaints == []


def test_files_are_uploaded_with_progress_downloaded_linked_and_deleted(
    server: Mainstay, browser: Browser, tmp_path: Path
) -> None:
    made = make_bucket(server, "browsed", maxObjectBytes=5 * MIB)
    small, large, too_large = (tmp_path / name for name in ("ünï 1.txt", "large.bin", "huge.bin"))
    small.write_bytes(b"hello")
    large.write_bytes(os.urandom(4 * MIB))
    too_large.write_bytes(b"x" * (6 * MIB))
    context = new_look(browser, theme="light", width=1440, url=server.url)
    page = sign_in(context, server)
    complaints: list[str] = []
    watch(page, complaints)
    page.goto(f"{server.url}{PAGE}?bucket=browsed")
    expect(page.get_by_text("Nothing is here yet")).to_be_visible()
    page.set_input_files("#storage-file", [small, large, too_large])
    uploads = page.get_by_role("list", name="Uploads")
    expect(uploads.get_by_text("stored")).to_have_count(2)
    expect(uploads.get_by_text("at most 5,242,880 bytes")).to_be_visible()
    keep_picture(page, "storage-uploads")
    files = page.get_by_role("group", name="Files")
    expect(files.get_by_role("link", name="ünï 1.txt", exact=True)).to_be_visible()
    assert sorted(keys(server, made["id"])) == ["large.bin", "ünï 1.txt"]

    with page.expect_download() as downloading:
        files.get_by_role("link", name="large.bin", exact=True).click()
    assert downloading.value.suggested_filename == "large.bin"
    assert Path(downloading.value.path()).read_bytes() == large.read_bytes()

    page.get_by_role("button", name="Link to ünï 1.txt").click()
    page.get_by_role("button", name="Make the link").and_(page.locator(":visible")).click()
    url = page.locator(".secret-value").inner_text()
    keep_picture(page, "storage-link")
    assert httpx.get(url).content == b"hello"
    assert httpx.get(url).status_code == 410
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("used up")).to_be_visible()

    page.get_by_role("button", name="Delete ünï 1.txt").click()
    page.get_by_role("button", name="Delete it").and_(page.locator(":visible")).click()
    expect(page.get_by_text("ünï 1.txt was deleted.")).to_be_visible()
    assert keys(server, made["id"]) == ["large.bin"]
    context.close()
    assert [text for text in complaints if "400" not in text] == []


@pytest.mark.parametrize("upload_by", ["post", "put"])
def test_a_browser_sends_straight_to_a_store_that_allows_it(
    server: Mainstay, browser: Browser, s3: S3Server, tmp_path: Path, upload_by: str
) -> None:
    with running_strict_s3(s3) as far:
        name = f"far-{upload_by}"
        made = make_bucket(server, name, kind="s3", config=far.config(uploadBy=upload_by))
        small, large = tmp_path / "small.txt", tmp_path / "large.bin"
        small.write_bytes(b"hello")
        large.write_bytes(os.urandom(65 * MIB))  # which goes in parts
        context = new_look(browser, theme="light", width=1440, url=server.url)
        page = sign_in(context, server)
        complaints: list[str] = []
        watch(page, complaints)
        page.goto(f"{server.url}{PAGE}?bucket={name}")
        page.set_input_files("#storage-file", [small, large])
        uploads = page.get_by_role("list", name="Uploads")
        expect(uploads.get_by_text("stored")).to_have_count(2)
        assert sorted(keys(server, made["id"])) == ["large.bin", "small.txt"]
        assert fetched(server, made["id"], "large.bin") == large.read_bytes()
        sent = [path for method, path in far.seen if method == "PUT" and "partNumber" in path]
        assert len(sent) == 5
        context.close()
        assert complaints == []


def test_a_bucket_is_made_on_the_page(server: Mainstay, browser: Browser) -> None:
    context = new_look(browser, theme="dark", width=390, url=server.url)
    page = sign_in(context, server)
    page.goto(f"{server.url}{PAGE}")
    page.get_by_role("button", name="New bucket").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("made-here")
    keep_picture(page, "storage-new-bucket")
    dialog.get_by_role("button", name="Make the bucket").click()
    expect(page.get_by_text("There is a bucket made-here now.")).to_be_visible()
    context.close()


def test_an_upload_that_the_server_did_not_survive_leaves_nothing(tmp_path: Path) -> None:
    """Killed at several points of uploads: what was answered is there, and nothing else is."""
    with running_mainstay(bootstrap(tmp_path)) as server:
        bucket = make_bucket(server, "files")["id"]
        data = os.urandom(8 * MIB)
        answered: list[str] = []
        for round_ in range(4):
            offers = [offered(server, bucket, f"{round_}-{n}", len(data)) for n in range(3)]
            senders = [Sender(offer, data, answered) for offer in offers]
            for sender in senders:
                sender.start()
            sent = (1, 3, 6, 8)[round_] * MIB
            eventually(partial(has_sent, senders, sent))
            server.kill()
            for sender in senders:
                sender.join(PATIENCE_SECONDS)
            server.start()
            there = keys(server, bucket)
            assert set(answered) <= set(there)
            for key in there:
                assert fetched(server, bucket, key) == data
        stats = server.get(f"{STORAGE}/stats?bucket={bucket}")["total"]
        assert stats["usedObjects"] == len(keys(server, bucket))
        assert stats["usedObjects"] + stats["reservedObjects"] == 12


def test_a_file_may_be_larger_than_all_bodies_that_are_held_in_memory_together() -> None:
    with running_mainstay({"MAINSTAY_WAITING_ROOM_MIB": "1"}) as server:
        bucket = make_bucket(server, "files")["id"]
        data = os.urandom(10 * MIB)
        store(server, bucket, "large.bin", data)
        assert fetched(server, bucket, "large.bin") == data


def test_who_sends_too_slowly_gives_its_place_at_the_door_back_and_may_try_again() -> None:
    with running_mainstay({"MAINSTAY_STORAGE_TRANSFERS": "1"}) as server:
        bucket = make_bucket(server, "files")["id"]
        slow, other = (offered(server, bucket, key, MIB) for key in ("slow.bin", "other.bin"))
        parts = urlsplit(slow["url"])
        slowly = http.client.HTTPConnection(parts.netloc, timeout=2 * PATIENCE_SECONDS)
        slowly.putrequest("PUT", f"{parts.path}?{parts.query}")
        slowly.putheader("content-length", str(MIB))
        slowly.endheaders(b"x")
        eventually(lambda: httpx.put(other["url"]).json()["code"] == "transfers-full")
        answer = slowly.getresponse()
        assert answer.status == http.client.REQUEST_TIMEOUT
        assert b"send it again" in answer.read()
        slowly.close()
        assert sent(other).status_code == http.client.CREATED
        assert sent(slow).status_code == http.client.CREATED


def sent(offer: dict[str, Any]) -> httpx.Response:
    return httpx.put(
        offer["url"], content=b"x" * MIB, headers=offer["headers"], timeout=PATIENCE_SECONDS
    )


def has_sent(senders: "list[Sender]", sent_bytes: int) -> bool:
    return any(sender.sent >= sent_bytes for sender in senders)


def fetched(server: Mainstay, bucket: str, key: str) -> bytes:
    url = server.get(f"{STORAGE}/download-url?bucket={bucket}&key={key}")["url"]
    return httpx.get(url, timeout=PATIENCE_SECONDS).content


class Sender(threading.Thread):
    """Puts a file slowly, so that it can be broken off; notes its key when it was answered."""

    def __init__(self, offer: dict[str, Any], data: bytes, answered: list[str]) -> None:
        super().__init__(daemon=True)
        self._offer, self._data, self._answered = offer, data, answered
        self.sent = 0

    @override
    def run(self) -> None:
        parts = urlsplit(self._offer["url"])
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
        try:
            connection.putrequest("PUT", f"{parts.path}?{parts.query}")
            connection.putheader("content-length", str(len(self._data)))
            for name, value in self._offer["headers"].items():
                connection.putheader(name, value)
            connection.endheaders()
            for start in range(0, len(self._data), MIB):
                connection.send(self._data[start : start + MIB])
                self.sent = start + MIB
            if connection.getresponse().status == http.client.CREATED:
                self._answered.append(self._offer["key"])
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
