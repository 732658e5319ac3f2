"""OWASP API Security Top 10 (2023), API7 and API10: wherever people may send the real server to.

The rest of the ten is in `test_owasp`. What each piece of the way out promises, down to resolvers
and redirects, is in `kernel/test_outbound*`; here it is asked of every place that takes an address.
"""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.running import Mainstay, running_mainstay
from tests.journeys.test_slow_senders import memory_mib
from tests.servers.http import Answer, running_http
from tests.waiting import eventually

pytestmark = pytest.mark.slow

METADATA = (
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
)
INSIDE = ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]")
SCHEMES = ("file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "ftp://127.0.0.1/", "dict://x/")
NAMES = """
import socket
real, asked = socket.getaddrinfo, {}
def resolve(host, *rest, **more):
    name = host.decode() if isinstance(host, bytes) else host
    if name == "inside.example":
        host = "169.254.169.254"
    if name == "rebinding.example":
        asked[name] = asked.get(name, 0) + 1
        host = "127.0.0.1" if asked[name] == 1 else "169.254.169.254"
    return real(host, *rest, **more)
socket.getaddrinfo = resolve
"""
MOST_GROWTH_MIB = 96


class Places:
    """Every place of the API that takes an address, and what came of asking there."""

    def __init__(self, mainstay: Mainstay) -> None:
        self._mainstay = mainstay
        self._instance = f"/api/instances/{mainstay.instance_id}"

    def health_check(self, url: str) -> str:
        """What a check found, at once; the refusal when it is not even taken."""
        made = self._mainstay.call(
            "POST", f"{self._instance}/health-checks", json={"url": url, "name": "x"}
        )
        if not made.is_success:
            return str(made.json()["code"])
        path = f"{self._instance}/health-checks/{made.json()['id']}"
        found = self._mainstay.call("POST", f"{path}/run")
        self._mainstay.call("DELETE", path)
        return found.text

    def instance(self, url: str) -> str:
        """The same for the address of an instance itself."""
        changed = self._mainstay.call("PATCH", self._instance, json={"url": url})
        if not changed.is_success:
            return str(changed.json()["code"])
        own = eventually(lambda: self._check_of(url.split("/")[2]))  # once the change is heard of
        path = f"{self._instance}/health-checks/{own['id']}/run"
        return self._mainstay.call("POST", path).text

    def _check_of(self, host: str) -> Any:
        checks = self._mainstay.get(f"{self._instance}/health-checks")["healthChecks"]
        return next((check for check in checks if host in check["url"]), None)

    def channel(self, kind: str, config: dict[str, str]) -> str:
        """What became of a test of an alert channel, once it is over."""
        channels = f"{self._instance}/alert-channels"
        made = self._mainstay.call("POST", channels, json={"type": kind, "config": config})
        if not made.is_success:
            return str(made.json()["code"])
        path = f"{channels}/{made.json()['id']}"
        self._mainstay.call("POST", f"{path}/test")
        told = f"/api/projects/{self._mainstay.project['slug']}/alert-notifications"

        def over() -> Any:
            sent = self._mainstay.get(told)["notifications"]
            mine = [one for one in sent if one["channelId"] == made.json()["id"]]
            return [one for one in mine if one["lastError"] or one["state"] != "waiting"]

        (found, *_) = eventually(over)
        self._mainstay.call("DELETE", path)
        return f"{found['state']}: {found['lastError']}"

    def webhook(self, url: str) -> str:
        """What became of a webhook."""
        return self.channel("webhook", {"webhookUrl": url})


def is_blocked(told: str) -> bool:
    """Whether an answer says that the address is not to be reached, or was never taken."""
    words = ("never open", "private or reserved", "not a valid URL")
    return told == "invalid" or any(word in told for word in words)


@pytest.fixture
def resolver(tmp_path: Path) -> dict[str, str]:
    """The environment of a server whose resolver answers as an attacker's would."""
    (tmp_path / "sitecustomize.py").write_text(NAMES)
    return {"PYTHONPATH": str(tmp_path)}


def test_api7_server_side_request_forgery(resolver: dict[str, str]) -> None:
    """No address that anybody may give leads to what hands out credentials, however it is spelt.

    Private addresses are open here, as they are on embedded stores: the metadata never is.
    """
    leaving = {"MAINSTAY_AUDIT_CHECKPOINT_WEBHOOK_URL": METADATA[0]}
    with running_mainstay({**resolver, **leaving}) as mainstay, running_http() as inside:
        places = Places(mainstay)
        for url in (*METADATA, "http://inside.example/", *SCHEMES):
            assert is_blocked(places.health_check(url)), url
        for url in (METADATA[0], METADATA[1], "http://inside.example/"):
            assert is_blocked(places.instance(url)), url
            assert is_blocked(places.webhook(url)), url
        assert is_blocked(places.channel("apprise", {"url": "json://169.254.169.254/"}))
        moved = Answer(status=302, headers={"Location": METADATA[0]})
        inside.answer_at("/moved", moved)
        assert "meta-data" not in places.health_check(f"{inside.url}/moved")
        assert "delivered" not in places.webhook(f"{inside.url}/moved")
        rebinding = f"http://rebinding.example:{inside.port}/"
        assert not is_blocked(places.health_check(rebinding)), "the address that was looked at"
        assert is_blocked(places.health_check(rebinding)), "the name points elsewhere by now"
        hosts = [each.headers["host"] for each in inside.requests]
        assert hosts.count(f"rebinding.example:{inside.port}") == 1
        told = mainstay.get("/api/audit/checkpoints")
        assert eventually(lambda: "never open" in str(mainstay.get("/api/audit/checkpoints"))), told


def test_api7_what_is_inside_stays_closed_where_private_addresses_are(tmp_path: Path) -> None:
    closed = {"MAINSTAY_OUTBOUND_ALLOW_PRIVATE": "false"}
    with running_mainstay(closed, data_dir=tmp_path) as mainstay, running_http() as inside:
        places = Places(mainstay)
        for host in INSIDE:
            assert is_blocked(places.health_check(f"http://{host}:{inside.port}/")), host
        for url in (f"{inside.url}/hook", f"http://localhost:{inside.port}/hook"):
            assert is_blocked(places.webhook(url))
        for host in ("10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd00::1]"):
            assert is_blocked(places.health_check(f"http://{host}/")), host
        assert inside.requests == []


@contextmanager
def hostile(first: bytes, for_ever: bytes) -> Iterator[str]:
    """The address of a server that answers with a beginning and then never ends."""
    stopping = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def pour(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(first)
            while not stopping.is_set():
                connection.sendall(for_ever)

    def accept() -> None:
        with suppress(OSError):
            while not stopping.is_set():
                connection, _ = listening.accept()
                threading.Thread(target=pour, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stopping.set()
        listening.close()


OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(b"0" * 400_000_000, 9)
HOSTILE = {
    "a body without an end": (OK + b"\r\n", b"x" * 65_536),
    "chunks without an end": (
        OK + b"transfer-encoding: chunked\r\n\r\n",
        b"1000\r\n" + b"x" * 4096 + b"\r\n",
    ),
    "headers without an end": (OK, b"x-more: y\r\n" * 1000),
    "one header without an end": (OK + b"x: ", b"y" * 65_536),
    "a status line without an end": (b"HTTP/1.1 200 ", b"O" * 65_536),
    "interim answers without an end": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "nothing like HTTP": (b"", b"\x00\xff\xfe" * 4096),
}


def test_api10_unsafe_consumption_of_apis() -> None:
    """Whatever others answer, it costs a bounded time and memory, and nobody else waits."""
    with running_mainstay() as mainstay, running_http() as receiver:
        places = Places(mainstay)
        places.health_check(receiver.url)
        before = memory_mib(mainstay)
        for what, (first, for_ever) in HOSTILE.items():
            with hostile(first, for_ever) as url:
                for place in (places.health_check, places.webhook):
                    assert place(url), what
                    assert mainstay.ask("GET", "/healthz").is_success, what
        packed = Answer(headers={"content-encoding": "gzip"}, body=BOMB)
        loop = Answer(status=307, headers={"location": f"{receiver.url}/loop"})
        lies = Answer(headers={"content-type": "text/html"}, body=b"<script>alert(1)</script>" * 9)
        for path, answer in {"/bomb": packed, "/loop": loop, "/lies": lies}.items():
            receiver.answer_at(path, answer)
            for place in (places.health_check, places.webhook):
                told = place(receiver.url + path)
                assert told
                assert "Traceback" not in told
        # A webhook follows no redirect: its body and signature are for one receiver alone.
        looped = [one.method for one in receiver.requests if one.path == "/loop"]
        assert 1 <= looped.count("POST") <= 3
        assert looped.count("GET") <= 50, "a check follows a few, and looks a second time"
        assert memory_mib(mainstay) - before < MOST_GROWTH_MIB
        page = mainstay.call("GET", f"/api/instances/{mainstay.instance_id}/health")
        assert "<script>" not in page.text
