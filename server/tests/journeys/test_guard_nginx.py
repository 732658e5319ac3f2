"""An app that knows nothing of keys and limits, guarded by nginx as the example configures it.

Two real proxies stand in a row: an edge, and behind it the one of `examples/guard/nginx.conf`.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.journeys.running import Mainstay, running_mainstay
from tests.journeys.test_guard import new_key
from tests.servers.http import HttpReceiver, running_http
from tests.servers.nginx import running_nginx
from tests.servers.processes import free_port
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "examples/guard/nginx.conf"
EDGE = "127.0.0.2"
CLIENT, OTHER = "127.0.0.9", "127.0.0.8"


@dataclass
class Site:
    """What a client calls, the app at the end, and the Mainstay that decides between."""

    url: str
    app: HttpReceiver
    mainstay: Mainstay

    def get(self, path: str = "/api/x", *, client: str = CLIENT, **headers: str) -> httpx.Response:
        transport = httpx.HTTPTransport(local_address=client)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(transport=transport, timeout=PATIENCE_SECONDS) as caller:
            return caller.get(self.url + path, headers=given)


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    with running_mainstay() as server:
        behind = {"client": {"trustedHops": 2}}
        path = f"/api/instances/{server.instance_id}/guard/settings"
        assert server.call("PATCH", path, json=behind).is_success
        yield server


@pytest.fixture(scope="module")
def site(mainstay: Mainstay) -> Iterator[Site]:
    with running_http() as app, _two_proxies(mainstay, app) as url:
        yield Site(url, app, mainstay)


@contextmanager
def _two_proxies(mainstay: Mainstay, app: HttpReceiver) -> Iterator[str]:
    inner, edge = free_port(), free_port()
    guarded = EXAMPLE.read_text()
    for example, real in {
        "127.0.0.1:8000": mainstay.url.removeprefix("http://"),
        "127.0.0.1:3000": app.url.removeprefix("http://"),
        "listen 8080": f"listen 127.0.0.1:{inner}",
        "INSTANCE": mainstay.instance_id,
    }.items():
        assert example in guarded
        guarded = guarded.replace(example, real)
    outer = (
        f"server {{ listen 127.0.0.1:{edge}; location / {{ proxy_bind {EDGE};"
        f" proxy_pass http://127.0.0.1:{inner};"
        " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } }"
    )
    with running_nginx(guarded, port=inner), running_nginx(outer, port=edge):
        yield f"http://127.0.0.1:{edge}"


def test_only_good_keys_reach_the_app_and_it_is_told_whose(site: Site) -> None:
    key = new_key(site.mainstay, owner="acme", scopes=["insight:read"])

    passed = site.get(authorization=f"Bearer {key['key']}", x_mainstay_owner="forged")
    assert passed.status_code == 200
    assert site.app.requests[-1].headers["x-mainstay-owner"] == "acme"
    reached = len(site.app.requests)

    missing = site.get()
    assert missing.status_code == 401
    assert missing.headers["www-authenticate"] == 'Bearer realm="api"'
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json()["code"] == "key-missing"
    assert site.get(authorization=f"Bearer {key['key'][:-1]}!").status_code == 401
    assert len(site.app.requests) == reached, "what is refused never reaches the app"


def test_a_client_cannot_choose_its_address_its_instance_or_its_cost(site: Site) -> None:
    key = new_key(site.mainstay)["key"]
    path = f"/api/instances/{site.mainstay.instance_id}/ip-allowlist"
    added = site.mainstay.call("POST", path, json={"action": "add", "ipAddress": CLIENT}).json()
    try:
        assert eventually(lambda: site.get(authorization=f"Bearer {key}").status_code == 200)
        for claim in (CLIENT, f"{CLIENT}, {CLIENT}", f"{CLIENT}, {CLIENT}, {CLIENT}", "garbage"):
            refused = site.get(
                client=OTHER,
                authorization=f"Bearer {key}",
                x_forwarded_for=claim,
                x_real_ip=CLIENT,
                forwarded=f"for={CLIENT}",
                x_mainstay_instance="0" * 36,
            )
            assert refused.status_code == 403, claim
    finally:
        entry = added["allowlist"][0]["id"]
        site.mainstay.call("POST", path, json={"action": "remove", "entryId": entry})


def test_a_limit_of_a_key_is_429_with_the_wait(site: Site) -> None:
    key = new_key(site.mainstay, limits=[{"quota": 2, "windowSeconds": 3600}])["key"]
    answers = [site.get(authorization=f"Bearer {key}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "rate-limited"
    assert 1700 < int(answers[2].headers["retry-after"]) <= 1800
    assert '"key";r=0;t=' in answers[1].headers["ratelimit"]


def test_a_revoked_key_stops(site: Site) -> None:
    key = new_key(site.mainstay)
    assert site.get(authorization=f"Bearer {key['key']}").status_code == 200
    path = f"/api/instances/{site.mainstay.instance_id}/api-keys/{key['id']}"
    assert site.mainstay.call("DELETE", path).is_success
    assert site.get(authorization=f"Bearer {key['key']}").status_code == 401


def test_many_at_once_never_get_more_than_the_limit(site: Site) -> None:
    key = new_key(site.mainstay, limits=[{"quota": 10, "windowSeconds": 3600}])["key"]
    statuses: list[int] = []

    def call() -> None:
        statuses.extend(site.get(authorization=f"Bearer {key}").status_code for _ in range(5))

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses.count(200) == 10
    assert statuses.count(429) == 30


def test_what_was_decided_is_counted_and_told(site: Site) -> None:
    path = f"/api/instances/{site.mainstay.instance_id}/guard/figures"

    site.get()
    site.get(authorization=f"Bearer {new_key(site.mainstay)['key']}")

    def codes() -> set[str]:
        return {row["code"] for row in site.mainstay.get(path)["figures"]}

    assert eventually(lambda: {"", "key-missing"} <= codes())


def test_without_the_guard_the_site_says_so_and_lets_nobody_in() -> None:
    with running_mainstay() as mainstay, running_http() as app:
        key = new_key(mainstay)["key"]
        with _two_proxies(mainstay, app) as url:
            site = Site(url, app, mainstay)
            assert site.get(authorization=f"Bearer {key}").status_code == 200
            mainstay.kill()
            away = site.get(authorization=f"Bearer {key}")
            assert away.status_code == 503
            assert away.headers["retry-after"] == "5"
            assert json.loads(away.text)["status"] == 503
            mainstay.start()
            assert eventually(lambda: site.get(authorization=f"Bearer {key}").status_code == 200)
