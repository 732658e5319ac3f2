import hashlib
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mainstay_server.areas.storage import ingest
from mainstay_server.areas.storage.service import links
from mainstay_server.kernel.clock import utc_now
from tests.areas.storage.putting import a_bucket, download_url, offered, put, stored, used
from tests.world import World

LETTERS = bytes(range(256)) * 40


def files_below(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


def test_a_file_is_put_once_and_fetched_as_it_was(world: World) -> None:
    a_bucket(world)
    offer = offered(world.bob, "acme/insight/ann/a.bin", size=len(LETTERS))
    assert (offer["method"], offer["confirm"], offer["maxBytes"]) == ("PUT", False, len(LETTERS))
    answer = put(world, offer, LETTERS)
    assert answer.status_code == 201
    assert answer.json()["sha256"] == hashlib.sha256(LETTERS).hexdigest()

    again = put(world, offer, b"other")
    assert (again.status_code, again.json()["code"]) == (410, "link-used")
    fetched = world.stranger.get(download_url(world, "acme/insight/ann/a.bin"))
    assert fetched.status_code == 200
    assert fetched.content == LETTERS


def test_a_byte_more_than_reserved_is_refused_while_it_streams(
    world: World, tmp_path: Path
) -> None:
    a_bucket(world)
    offer = offered(world.bob, "a.bin", size=10)
    declared = put(world, offer, b"x" * 11)
    assert (declared.status_code, declared.json()["code"]) == (413, "too-large")

    def in_pieces() -> Any:
        yield b"x" * 6
        yield b"x" * 5

    streamed = world.stranger.put(offer["url"], content=in_pieces(), headers=offer["headers"])
    assert streamed.status_code == 413
    assert files_below(tmp_path) == []
    assert put(world, offer, b"x" * 10).status_code == 201


@pytest.mark.parametrize(
    ("promised", "headers", "fault"),
    [
        ({"sha256": "0" * 64}, {}, "SHA-256"),
        ({"contentType": "image/png"}, {"content-type": "text/html"}, "content type"),
    ],
)
def test_what_is_not_what_was_promised_leaves_nothing(
    world: World,
    tmp_path: Path,
    promised: dict[str, str],
    headers: dict[str, str],
    fault: str,
) -> None:
    a_bucket(world)
    offer = offered(world.bob, "a.bin", size=5, **promised)
    answer = put(world, offer, b"hello", **headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload-refused")
    assert fault in answer.json()["detail"]
    assert files_below(tmp_path) == []
    assert used(world)["usedObjects"] == 0


def test_a_changed_or_foreign_link_opens_nothing(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt")
    url = download_url(world, "a.txt")
    start, _, token = url.rpartition("=")
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        changed = f"{start}={token[:position]}{other}{token[position + 1 :]}"
        answer = world.stranger.get(changed)
        if position == len(token) - 1 and answer.status_code == 200:
            continue  # the last character holds bits that stand for nothing
        assert answer.status_code == 403, position
        assert answer.json()["code"] == "link-invalid"
    for strange in ("", "ä", "=" * 50, "a" * 5000, token[:-5], token + token):
        answer = world.stranger.get("/api/v1/storage/object", params={"link": strange})
        assert answer.status_code == 403, strange


def test_a_link_is_for_one_thing(world: World) -> None:
    a_bucket(world)
    stored(world, "a.txt")
    offer = offered(world.bob, "b.txt", size=5)
    assert world.stranger.get(offer["url"]).status_code == 403
    assert world.stranger.put(download_url(world, "a.txt"), content=b"x").status_code == 403
    refused = world.stranger.post(offer["url"], content=b"hello")
    assert refused.status_code == 405
    assert "PUT" in refused.headers["allow"]


def test_nothing_that_is_fetched_runs_in_a_browser(world: World) -> None:
    a_bucket(world)
    stored(world, "x/evil.html", b"<script>alert(1)</script>", contentType="text/html")
    stored(world, "x/a.svg", b"<svg/>", contentType="image/svg+xml")
    stored(world, "x/a.png", b"png", contentType="image/png")
    for key, how in (
        ("x/evil.html", "attachment"),
        ("x/a.svg", "attachment"),
        ("x/a.png", "inline"),
    ):
        headers = world.stranger.get(download_url(world, key, inline=True)).headers
        assert headers["content-disposition"].startswith(how), key
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]
        assert "no-store" in headers["cache-control"]


def test_a_name_of_any_letters_is_told_safely(world: World) -> None:
    a_bucket(world)
    stored(world, 'x/übung "1"; filename=evil.exe')
    told = world.stranger.get(download_url(world, 'x/übung "1"; filename=evil.exe')).headers
    assert told["content-disposition"] == (
        'attachment; filename="_bung _1__ filename_evil.exe";'
        " filename*=UTF-8''%C3%BCbung%20%221%22%3B%20filename%3Devil.exe"
    )


SIZE = 1000
DATA = os.urandom(SIZE)


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=0-99", 206, 0, 99),
        ("bytes=990-", 206, 990, 999),
        ("bytes=-10", 206, 990, 999),
        ("bytes=-5000", 206, 0, 999),
        ("bytes=500-5000", 206, 500, 999),
        ("bytes=999-999", 206, 999, 999),
        ("bytes=1000-", 416, 0, 0),
        ("bytes=1000-2000", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-2", 200, 0, 999),
        ("bytes=-", 200, 0, 999),
        ("bytes=a-b", 200, 0, 999),
        ("bytes=0-1,5-6", 200, 0, 999),
        ("lines=0-1", 200, 0, 999),
        ("", 200, 0, 999),
    ],
)
def test_ranges_are_answered_as_the_standard_says(
    world: World, asked: str, status: int, first: int, last: int
) -> None:
    a_bucket(world)
    stored(world, "a.bin", DATA)
    url = download_url(world, "a.bin")
    answer = world.stranger.get(url, headers={"range": asked} if asked else {})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{SIZE}"
        return
    assert answer.content == DATA[first : last + 1]
    assert answer.headers["content-length"] == str(last - first + 1)
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    head = world.stranger.request("HEAD", url, headers={"range": asked} if asked else {})
    assert (head.status_code, head.content) == (status, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]


def test_a_part_is_only_given_of_the_same_file(world: World) -> None:
    a_bucket(world)
    stored(world, "a.bin", DATA)
    url = download_url(world, "a.bin")
    whole = world.stranger.get(url)
    part = {"range": "bytes=0-9"}
    for sign in (whole.headers["etag"], whole.headers["last-modified"]):
        answer = world.stranger.get(url, headers={**part, "if-range": sign})
        assert answer.status_code == 206
    for sign in ('"other"', f"W/{whole.headers['etag']}", "Thu, 01 Jan 1970 00:00:00 GMT"):
        answer = world.stranger.get(url, headers={**part, "if-range": sign})
        assert (answer.status_code, answer.content) == (200, DATA)
    same = world.stranger.get(url, headers={"if-none-match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_an_empty_file_is_a_file(world: World) -> None:
    a_bucket(world)
    stored(world, "empty", b"")
    url = download_url(world, "empty")
    assert world.stranger.get(url).content == b""
    assert world.stranger.get(url, headers={"range": "bytes=0-"}).status_code == 416


def test_pages_of_any_origin_may_use_a_link(world: World) -> None:
    a_bucket(world)
    offer = offered(world.bob, "a.txt", size=5)
    preflight = world.stranger.request("OPTIONS", offer["url"])
    assert preflight.status_code == 204
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert put(world, offer, b"hello").headers["access-control-allow-origin"] == "*"
    gone = put(world, offer, b"hello")
    assert gone.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(("what", "most"), [("upload", 2), ("download", 50)])
def test_one_link_does_not_take_all_places(world: World, what: str, most: int) -> None:
    a_bucket(world)
    stored(world, "a.bin")
    url = download_url(world, "a.bin")
    if what == "upload":
        url = offered(world.bob, "b.bin", size=10)["url"]
    token = links.read_token(parse_qs(urlsplit(url).query)["link"][0], now=utc_now())
    with ExitStack() as slow:
        for _ in range(most):
            slow.enter_context(ingest._entered(token))
        method = "PUT" if what == "upload" else "GET"
        refused = world.stranger.request(method, url, content=b"" if what == "upload" else None)
        assert (refused.status_code, refused.json()["code"]) == (429, "link-busy")
        assert world.stranger.get(download_url(world, "a.bin", expiresIn=61)).status_code in (
            200,
            429,
        )
    assert ingest._busy == ingest._Busy()


def test_a_disk_on_which_nothing_can_be_begun_is_told(world: World, tmp_path: Path) -> None:
    bucket = a_bucket(world)
    offer = offered(world.bob, "a.bin", size=1)
    place = tmp_path / "blobs" / "storage" / bucket["id"]
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    place.write_text("no folder can be made here")
    answer = put(world, offer, b"x")
    assert (answer.status_code, answer.json()["code"]) == (503, "store-full")
    place.unlink()
    assert put(world, offer, b"x").status_code == 201
