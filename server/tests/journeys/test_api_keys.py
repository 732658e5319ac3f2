"""A key's whole life, with two servers over one database and the guard that decides by it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2 as httpx
import pytest
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.clickhouse import clickhouse_server
from tests.servers.postgres import running_postgres
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mainstay, Mainstay]]:
    """Two processes that share nothing but their stores: no word goes from one to the other."""
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        columns = stack.enter_context(clickhouse_server(tmp_path_factory.mktemp("columns")))
        settings = {
            "MAINSTAY_DATABASE_URL": postgres.url_of(postgres.new_database()),
            "MAINSTAY_COLUMNS_URL": columns.new_database(),
            "MAINSTAY_SECRET_KEY": "a secret of the tests that is long enough",
        }
        roles = ("serve", "--role", "web", "--role", "worker")
        yield (
            stack.enter_context(running_mainstay(settings, arguments=roles)),
            stack.enter_context(running_mainstay(settings, arguments=roles)),
        )


def made(server: Mainstay, path: str, **body: Any) -> dict[str, Any]:
    answer = server.call("POST", f"/api/instances/{server.instance_id}/api-keys{path}", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def verdict(server: Mainstay, key: str, path: str = "/api/insights") -> str:
    """What the guard of one server says of a key: "" when it lets it pass."""
    answer = httpx.get(
        f"{server.url}/api/guard/check",
        headers={
            "x-mainstay-instance": server.instance_id,
            "x-forwarded-method": "GET",
            "x-forwarded-uri": path,
            **({"authorization": f"Bearer {key}"} if key else {}),
        },
        timeout=PATIENCE_SECONDS,
    )
    return "" if answer.is_success else str(answer.json()["code"])


def soon(server: Mainstay, key: str, code: str, path: str = "/api/insights") -> None:
    eventually(lambda: verdict(server, key, path) == code)


def test_a_key_opens_both_servers_and_stops_at_both(servers: tuple[Mainstay, Mainstay]) -> None:
    here, there = servers
    key = made(here, "", name="billing service")

    assert verdict(here, key["key"]) == "", "at once where it was made"
    soon(there, key["key"], "")
    revoked = here.call("DELETE", f"/api/instances/{here.instance_id}/api-keys/{key['id']}")
    assert revoked.status_code == 204
    assert verdict(here, key["key"]) == "key-unknown"
    soon(there, key["key"], "key-unknown")


def test_a_rotated_key_works_beside_its_successor_until_its_grace_is_over(
    servers: tuple[Mainstay, Mainstay],
) -> None:
    here, there = servers
    old = made(here, "", name="billing service")
    seconds = 5
    new = made(here, "/rotate", keyId=old["id"], gracePeriodHours=seconds / 3600)
    began = time.monotonic()

    at_first = (verdict(here, old["key"]), verdict(here, new["key"]))
    if time.monotonic() - began < seconds:
        assert at_first == ("", "")
    for server in servers:
        soon(server, old["key"], "key-expired")
        assert verdict(server, new["key"]) == ""
    report = eventually(
        lambda: _used(there, old["id"]),
    )
    assert report["routes"][0]["route"] == "/api/insights"
    assert report["refused"] >= 1


def test_a_key_that_leaked_is_stopped_by_whoever_found_it_and_people_are_told(
    servers: tuple[Mainstay, Mainstay],
) -> None:
    here, there = servers
    key = made(here, "", name="billing service", owner="acme")
    soon(there, key["key"], "")

    told = there.call(
        "POST",
        "/api/guard/keys/leaked",
        json=[{"token": key["key"], "type": "mainstay_api_key", "url": "https://code.example/"}],
    )

    assert told.json()[0]["label"] == "true_positive"
    soon(here, key["key"], "key-unknown")
    (alert,) = eventually(
        lambda: here.get(f"/api/instances/{here.instance_id}/alerts?type=api_key_leaked")["alerts"],
    )
    assert alert["severity"] == "critical"
    assert "billing service of acme" in alert["message"]


def test_what_asks_for_scopes_and_what_is_public_is_decided_as_it_was_set(
    servers: tuple[Mainstay, Mainstay],
) -> None:
    here, there = servers
    key = made(here, "", name="reader", scopes=["insight:read"])
    settings = {
        "public": ["/api/health"],
        "scopes": [{"paths": ["/api/reports"], "scopes": ["report:read"]}],
    }
    path = f"/api/instances/{here.instance_id}/api-keys/settings"
    assert here.call("PUT", path, json=settings).status_code == 200

    soon(there, key["key"], "insufficient-scope", "/api/reports")
    assert verdict(there, key["key"]) == ""
    assert verdict(there, "", "/api/health") == ""
    assert verdict(there, "", "/api/insights") == "key-missing"


def _used(server: Mainstay, key_id: str) -> dict[str, Any] | None:
    path = f"/api/instances/{server.instance_id}/api-keys/{key_id}/usage"
    found: dict[str, Any] = server.get(path)
    return found if found["refused"] else None
