"""One line in the app, and its API is protected: the SDK's guard against a real Mainstay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import httpx2 as httpx
import mainstay as sdk
import pytest
from fastapi import FastAPI
from tests.journeys.running import Mainstay, running_mainstay
from tests.journeys.test_requests import served_asgi, served_wsgi
from tests.waiting import PATIENCE_SECONDS, CalmClock, eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    with running_mainstay() as server:
        path = f"/api/instances/{server.instance_id}/api-keys/settings"
        asked = {"required": ["/api/*"], "public": ["/api/health"], "scopes": []}
        answer = server.call("PUT", path, json=asked)
        assert answer.is_success, answer.text
        yield server


@pytest.fixture
def dsn(mainstay: Mainstay) -> str:
    """The DSN for a server of the project, with a new guard key."""
    made = mainstay.call("POST", "/api/projects/inspections/guard-keys", json={"name": "app"})
    assert made.status_code == 201, made.text
    return str(made.json()["dsn"])


@pytest.fixture(params=["asgi", "wsgi"])
def app(
    request: pytest.FixtureRequest, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The address of a guarded app that follows the policy of its project."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sdk.init(dsn, flush_interval_seconds=0.1)
    served = served_asgi(_asgi()) if request.param == "asgi" else served_wsgi(_wsgi())
    with served as url:
        assert eventually(lambda: _get(url).status_code == 401), "the policy has arrived"
        yield url
    sdk.close()


def new_key(mainstay: Mainstay, **body: object) -> dict[str, Any]:
    """An API key, with its secret."""
    path = f"/api/instances/{mainstay.instance_id}/api-keys"
    answer = mainstay.call("POST", path, json={"name": "a customer", **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _asgi() -> Any:
    api = FastAPI()

    @api.get("/api/insights/{number}")
    def insight(number: int) -> dict[str, int]:
        return {"number": number}

    return sdk.Guard(api)


def _wsgi() -> Any:
    api = flask.Flask("guarded")

    @api.get("/api/insights/<int:number>")
    def insight(number: int) -> dict[str, int]:
        return {"number": number}

    return sdk.Guard(api.wsgi_app)


def _get(url: str, key: str = "", path: str = "/api/insights/7") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.get(url + path, headers=headers, timeout=PATIENCE_SECONDS)


def test_a_new_key_opens_and_a_revoked_one_closes_within_a_second(
    mainstay: Mainstay, app: str
) -> None:
    key = new_key(mainstay)
    assert eventually(lambda: _get(app, key["key"]).status_code == 200)
    mainstay.call("DELETE", f"/api/instances/{mainstay.instance_id}/api-keys/{key['id']}")
    assert eventually(
        lambda: _get(app, key["key"]).status_code == 401, within_seconds=1, calm=CalmClock()
    )
    assert _get(app, key["key"]).json()["code"] == "key-unknown"


def test_answers_carry_ids_times_and_security_headers(mainstay: Mainstay, app: str) -> None:
    answer = _get(app)
    assert len(answer.headers["x-trace-id"]) == 32
    assert float(answer.headers["x-response-time"].removesuffix("ms")) >= 0
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["code"] == "key-missing"


def test_what_passed_is_counted_for_the_key_and_its_owner(mainstay: Mainstay, app: str) -> None:
    key = new_key(mainstay, owner="acme")
    assert eventually(lambda: _get(app, key["key"]).status_code == 200)
    for _ in range(4):
        _get(app, key["key"])
    base = f"/api/instances/{mainstay.instance_id}"
    used = f"{base}/usage?owner=acme"
    assert eventually(lambda: mainstay.get(used)["meters"][0]["used"] >= 5)


def test_the_app_goes_on_deciding_while_the_server_is_away(mainstay: Mainstay, app: str) -> None:
    key = new_key(mainstay)
    assert eventually(lambda: _get(app, key["key"]).status_code == 200)
    mainstay.kill()
    try:
        for _ in range(20):
            assert _get(app, key["key"]).status_code == 200
            assert _get(app).status_code == 401
    finally:
        mainstay.start()
    mainstay.call("DELETE", f"/api/instances/{mainstay.instance_id}/api-keys/{key['id']}")
    assert eventually(lambda: _get(app, key["key"]).status_code == 401)
