"""How often Mainstay itself may be asked, over the whole application."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx2 as httpx
import pytest
from mainstay_server.app import limiting
from mainstay_server.areas import errors, requests
from mainstay_server.kernel import limits
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.limits import Limiter, LimitSettings
from starlette.testclient import TestClient
from tests.kernel.test_limits_away import Switched
from tests.world import World


@pytest.fixture
def world_with(
    client_for: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., World]:
    """The app with these limits, whose clock stands still."""
    begun = utc_now()
    monkeypatch.setattr(limiting, "utc_now", lambda: begun)

    def build(**values: int) -> World:
        for name, value in values.items():
            monkeypatch.setenv(f"MAINSTAY_LIMIT_{name.upper()}", str(value))
        return client_for(errors.area, requests.area)

    return build


def ask(world: World, path: str = "/api/me", **headers: str) -> httpx.Response:
    return world.stranger.get(path, headers=headers)


def test_the_api_tells_how_often_one_may_ask(world_with: Callable[..., World]) -> None:
    world = world_with()

    answer = world.alice.get("/api/me")

    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"api";q=6000;w=60, "api-address";q=30000;w=60'
    assert answer.headers["ratelimit"] == '"api";r=5999;t=1, "api-address";r=29999;t=1'
    assert answer.headers["x-ratelimit-limit"] == "6000"
    assert answer.headers["x-ratelimit-remaining"] == "5999"
    assert "ratelimit" not in world.alice.get("/dashboard").headers


def test_by_default_fifty_calls_a_second_for_a_minute_are_nobodys_trouble(
    world_with: Callable[..., World],
) -> None:
    world = world_with()
    rate = LimitSettings().limit_api_per_minute

    statuses = {world.alice.get("/api/me").status_code for _ in range(300)}

    assert statuses == {200}
    assert rate >= 50 * 60


def test_each_token_and_session_has_its_own_limit_whatever_its_address(
    world_with: Callable[..., World],
) -> None:
    world = world_with(api_per_minute=3)

    mine = [world.alice.get("/api/me").status_code for _ in range(4)]
    refused = world.alice.get("/api/me")

    assert mine == [200, 200, 200, 429]
    assert world.bob.get("/api/me").status_code == 200
    assert refused.headers["retry-after"] == "20"
    assert refused.headers["ratelimit"] == '"api";r=0;t=20'
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-content-type-options"] == "nosniff"
    problem = refused.json()
    assert problem["code"] == "rate-limited"
    assert problem["type"].endswith("#quota-exceeded")
    assert problem["violated-policies"] == ["api"]
    assert problem["instance"] == "/api/me"


def test_made_up_tokens_are_limited_by_their_address(world_with: Callable[..., World]) -> None:
    world = world_with(address_per_minute=3)

    statuses = [
        ask(world, authorization=f"Bearer made-up-{number}").status_code for number in range(4)
    ]

    assert statuses == [401, 401, 401, 429]
    assert ask(world, authorization="Bearer other").json()["violated-policies"] == ["api-address"]


def test_behind_a_trusted_proxy_it_is_the_clients_own_address(
    world_with: Callable[..., World],
) -> None:
    world = world_with(address_per_minute=2)
    proxy = TestClient(world.stranger._client.app, client=("127.0.0.1", 50000))
    stranger = TestClient(world.stranger._client.app, client=("192.0.2.7", 50000))

    def through(client: TestClient, forwarded: str) -> int:
        return client.get("/api/me", headers={"x-forwarded-for": forwarded}).status_code

    assert [through(proxy, "203.0.113.1") for _ in range(3)] == [401, 401, 429]
    assert through(proxy, "203.0.113.2") == 401
    assert [through(proxy, f"2001:db8::{n}") for n in range(3)] == [401, 401, 429], "one /64"
    claimed = [through(stranger, f"203.0.113.{n}") for n in range(10, 13)]
    assert claimed == [401, 401, 429], "nobody else's word is believed"


@pytest.mark.parametrize(
    "path", ["/api/health", "/api/health/live", "/api/health/ready", "/healthz", "/metrics"]
)
def test_who_asks_for_health_is_not_limited(path: str, world_with: Callable[..., World]) -> None:
    world = world_with(address_per_minute=1, api_per_minute=1)

    answers = [ask(world, path, authorization="Bearer x") for _ in range(3)]

    assert 429 not in {answer.status_code for answer in answers}
    assert "ratelimit" not in answers[-1].headers


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/login", {"email": "alice@ships.example", "password": "wrong"}),
        ("/set-up/guessed", {}),
        ("/join/guessed", {}),
    ],
)
def test_tries_at_passwords_and_links_are_few_and_refused_with_a_page(
    path: str, data: Mapping[str, str], world_with: Callable[..., World]
) -> None:
    world = world_with(entry_per_minute=1)

    statuses = [world.stranger.post(path, data=data).status_code for _ in range(4)]
    refused = world.stranger.post(path, data=data)

    assert 429 not in statuses[:3]
    assert statuses[3] == 429
    assert refused.headers["content-type"].startswith("text/html")
    assert refused.headers["retry-after"] == "60"
    assert "try again in" in refused.text
    assert world.stranger.get("/login").status_code == 200, "looking is free"


def test_changing_the_password_is_such_a_try(world_with: Callable[..., World]) -> None:
    world = world_with(entry_per_minute=1)
    body = {"currentPassword": "wrong", "newPassword": "eleven ships at sea"}

    answers = [world.alice.post("/api/me/password", json=body) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 429]
    assert answers[-1].json()["violated-policies"] == ["entry"]


def test_without_limits_nothing_is_counted_or_told(world_with: Callable[..., World]) -> None:
    world = world_with(api_per_minute=0, address_per_minute=0, entry_per_minute=0)
    before = limits.limits_stats().admitted

    assert "ratelimit" not in world.alice.get("/api/me").headers
    assert limits.limits_stats().admitted == before


def send(world: World, key: str, door: str = "envelope") -> httpx.Response:
    number = world.instance.project_number
    headers = {"x-sentry-auth": f"Sentry sentry_key={key}"}
    body = b"{}\n" if door == "envelope" else b'{"requests":[]}'
    return world.stranger.post(f"/api/{number}/{door}/", content=body, headers=headers)


def test_doors_are_not_limited_unless_somebody_says_so(world_with: Callable[..., World]) -> None:
    world = world_with(address_per_minute=1)

    assert {send(world, world.ingest_key).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("door", ["envelope", "requests"])
def test_a_key_that_sends_too_often_is_told_as_sentrys_sdks_obey(
    door: str, world_with: Callable[..., World]
) -> None:
    world = world_with(ingest_per_minute=2)

    statuses = [send(world, world.ingest_key, door).status_code for _ in range(3)]
    refused = send(world, world.ingest_key, door)

    assert statuses == [200, 200, 429]
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["x-sentry-rate-limits"] == "30::key:rate_limited"
    assert refused.headers["access-control-allow-origin"] == "*"
    assert send(world, "f" * 32, door).status_code == 403, "another key's bucket is its own"


def test_while_the_shared_store_is_away_the_api_goes_on_and_counts_by_itself(
    world_with: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_with(api_per_minute=3)
    store = Switched()
    limiter = Limiter(store)
    monkeypatch.setattr(limits._Open, "limiter", limiter)
    first: Any = world.alice.get("/api/me")
    store.is_away = True

    rest = [world.alice.get("/api/me").status_code for _ in range(3)]
    limiter.close()

    assert [first.status_code, *rest] == [200, 200, 200, 429]
