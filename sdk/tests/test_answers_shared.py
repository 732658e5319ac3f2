"""Kept answers in several processes over a real Redis, and CDNs that are told what to forget."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mainstay
import pytest
import redis
from mainstay._internal.responses import purging
from mainstay._internal.responses.purging import PurgeQueue
from mainstay.cache import Cache, Cloudflare, Fastly, HTTPPurge, ResponseCache
from tests.app_servers import PATIENCE_SECONDS, eventually
from tests.guarding import asked_wsgi
from tests.servers.redis import running_redis
from typing_extensions import override

# Another process with the same app: one path a line, one answer a line.
OTHER_PROCESS = """
import json, sys, time
from mainstay.cache import Cache, ResponseCache
calls = 0
def app(environ, start_response):
    global calls
    calls += 1
    time.sleep(float(sys.argv[2]))
    headers = [("Cache-Control", "max-age=60"), ("Surrogate-Key", "article")]
    start_response("200 OK", headers)
    return [b"made by the other"]
cache = Cache(sys.argv[1], timeout_seconds=20, wait_seconds=60)
responses = ResponseCache(cache)
door = responses(app)
while not cache._shared.is_listening:
    cache.get("are you there")
print("ready", flush=True)
for line in sys.stdin:
    path = line.strip()
    if path == "purge":
        print(responses.purge(tags=["article"]), flush=True)
        continue
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "shop"}
    body = b"".join(door(environ, lambda *_: None))
    print(json.dumps([body.decode(), calls]), flush=True)
cache.close()
"""


class Other:
    def __init__(self, url: str, seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, url, str(seconds)],
            cwd=Path(mainstay.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.said() == "ready"

    def asks(self, path: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()

    def said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_SECONDS) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def two_processes(seconds: float) -> Iterator[tuple[Other, Any, Cache, list[int]]]:
    calls: list[int] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        calls.append(1)
        start_response("200 OK", [("Cache-Control", "max-age=60"), ("Surrogate-Key", "article")])
        return [b"made by me"]

    with running_redis() as server:
        cache = Cache(server.url, timeout_seconds=20, wait_seconds=60)
        cache.get("are you there")
        shared: Any = cache._shared
        eventually(lambda: shared.is_listening)
        other = Other(server.url, seconds)
        try:
            yield other, ResponseCache(cache)(app), cache, calls
        finally:
            other.end()
            cache.close()


def ask(door: Any, path: str = "/a") -> bytes:
    return asked_wsgi(door, path, method="GET", peer="", headers={"host": "shop"}).body


@pytest.mark.slow
def test_an_answer_is_kept_for_all_processes_and_forgotten_in_all() -> None:
    with two_processes(0) as (other, door, _, calls):
        other.asks("/a")
        assert json.loads(other.said()) == ["made by the other", 1]
        assert ask(door) == b"made by the other"
        assert calls == []
        other.asks("purge")
        assert other.said() == "1"
        eventually(lambda: ask(door) == b"made by me")
        other.asks("/a")
        assert json.loads(other.said()) == ["made by me", 1]


@pytest.mark.slow
def test_of_two_processes_one_has_it_made() -> None:
    with two_processes(1.0) as (other, door, cache, calls):
        shared: Any = cache._shared
        other.asks("/a")
        eventually(lambda: _is_locked(shared))
        assert ask(door) == b"made by the other"
        assert calls == []
        assert json.loads(other.said()) == ["made by the other", 1]


def _is_locked(shared: Any) -> bool:
    with redis.Redis.from_url(shared._url) as client:
        return bool(client.keys("cache-lock:*"))


class CDN:
    """A server that takes purges, and fails when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        cdn = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                cdn.asked.append((self.command, self.path, headers, body))
                self.send_response(cdn.statuses.pop(0) if cdn.statuses else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_PURGE = answer  # noqa: N815 - as http.server calls them

            @override
            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,)).start()


@pytest.fixture
def cdn() -> Iterator[CDN]:
    cdn = CDN()
    yield cdn
    cdn.server.shutdown()
    cdn.server.server_close()


@pytest.fixture
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "pause_seconds", lambda _failures: 0.01)


def queue(*purgers: Any) -> PurgeQueue:
    return PurgeQueue(purgers)


def test_fastly_is_told_by_surrogate_keys_and_by_address(cdn: CDN) -> None:
    orders = queue(Fastly("svc", "a token", soft=True, api=cdn.url))
    orders.add([f"t{n}" for n in range(300)], ["https://shop.example/a?b=1"])
    assert orders.flush(PATIENCE_SECONDS)

    assert [(method, path) for method, path, _, _ in cdn.asked] == [
        ("POST", "/service/svc/purge"),
        ("POST", "/service/svc/purge"),
        ("POST", "/purge/shop.example/a?b=1"),
    ]
    first = cdn.asked[0][2]
    assert len(first["surrogate-key"].split()) == 256
    assert (first["fastly-key"], first["fastly-soft-purge"]) == ("a token", "1")
    assert "a token" not in repr(orders.purgers[0])


def test_cloudflare_is_told_by_tags_and_by_files(cdn: CDN) -> None:
    orders = queue(Cloudflare("zone", "a token", api=cdn.url))
    orders.add(["a", "b"], ["https://shop.example/a"])
    assert orders.flush(PATIENCE_SECONDS)

    assert [(path, json.loads(body)) for _, path, _, body in cdn.asked] == [
        ("/zones/zone/purge_cache", {"tags": ["a", "b"]}),
        ("/zones/zone/purge_cache", {"files": ["https://shop.example/a"]}),
    ]
    assert cdn.asked[0][2]["authorization"] == "Bearer a token"


def test_varnish_and_nginx_are_sent_purge_and_need_not_have_it(cdn: CDN) -> None:
    cdn.statuses = [200, 404]
    orders = queue(HTTPPurge(cdn.url, purge_tag_header="xkey-purge"))
    orders.add(["a", "b"], ["https://shop.example/a?b=1"])
    assert orders.flush(PATIENCE_SECONDS)

    assert [(m, p, h["host"], h.get("xkey-purge")) for m, p, h, _ in cdn.asked] == [
        ("PURGE", "/", cdn.url[7:], "a b"),
        ("PURGE", "/a?b=1", "shop.example", None),
    ]
    assert orders.lost == 0


@pytest.mark.usefixtures("_quickly")
def test_a_purge_is_tried_again_and_given_up_after_five_tries(cdn: CDN) -> None:
    cdn.statuses = [500, 429, 200]
    orders = queue(Fastly("svc", "t", api=cdn.url))
    orders.add(["a"], [])
    assert orders.flush(PATIENCE_SECONDS)
    assert (len(cdn.asked), orders.lost) == (3, 0)
    cdn.statuses = [503] * 9
    orders.add(["a"], [])
    assert orders.flush(PATIENCE_SECONDS)
    assert (len(cdn.asked), orders.lost) == (8, 1)


def test_what_a_cdn_refuses_is_not_tried_again(cdn: CDN, caplog: pytest.LogCaptureFixture) -> None:
    cdn.statuses = [403]
    orders = queue(Fastly("svc", "a token", api=cdn.url))
    orders.add(["a"], [])
    assert orders.flush(PATIENCE_SECONDS)

    assert (len(cdn.asked), orders.lost) == (1, 1)
    assert "answers 403" in caplog.text
    assert "a token" not in caplog.text


@pytest.mark.usefixtures("_quickly")
def test_a_cdn_that_hangs_holds_up_no_request_and_what_waits_is_bounded() -> None:
    released = threading.Event()
    told: list[Any] = []

    def hangs(tags: Any, urls: Any) -> None:
        released.wait(PATIENCE_SECONDS)
        told.append(tags)

    def broken(_tags: Any, _urls: Any) -> None:
        raise ZeroDivisionError

    responses = ResponseCache(Cache(), purgers=[hangs])
    for n in range(1_500):
        responses.purge(tags=[f"t{n}"])
    assert not responses.flush(0.01)
    assert 490 <= responses.queue.lost <= 500
    released.set()
    assert responses.flush(PATIENCE_SECONDS)
    assert told[-1] == ("t1499",)
    orders = queue(broken)
    orders.add(["a"], [])
    assert orders.flush(PATIENCE_SECONDS)
    assert orders.lost == 1
