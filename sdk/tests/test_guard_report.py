"""What is told of passages: wire/guard/report, summed, sent once and again under the same id."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import mainstay
import pytest
from fastapi import FastAPI
from flask import Flask
from mainstay._internal import client
from mainstay._internal.clock import Clock
from mainstay._internal.guard.report import Passages
from mainstay._internal.message import Origin
from tests.app_servers import ask, eventually, served_asgi, served_wsgi
from tests.guarding import (
    NOON,
    READER,
    UNKNOWN,
    WRITER,
    a_bare_policy,
    a_limit,
    a_policy,
    a_world,
    bearer,
    golden,
)
from tests.policy_server import KEY, PolicyServer, a_policy_server

either = pytest.mark.parametrize("kind", ["asgi", "wsgi"])


@pytest.fixture
def server() -> Iterator[PolicyServer]:
    with a_policy_server() as server:
        server.say(404, b"{}")
        mainstay.init(server.dsn, policy_cache=False)
        yield server
        mainstay.close()


def passages() -> Passages:
    connected = client.active_client()
    assert connected is not None
    assert connected.passages is not None
    return connected.passages


def test_passages_become_exactly_the_full_golden_message() -> None:
    api = FastAPI()

    @api.post("/api/insights", status_code=201)
    async def write() -> None: ...

    policy = a_policy("allowlist", "bans", "limits", "quotas")
    policy["keys"]["keys"][1]["limits"] = []
    clock = Clock(wall=lambda: NOON - 0.75)
    guard = mainstay.Guard(api, policy=policy, clock=clock)
    full = golden("report.full.json")
    credential = "test"  # whose SHA-256 begins with 9f86d081884c7d65

    async def asked(method: str, address: str, key: str) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None: ...

        scope = {
            "type": "http",
            "method": method,
            "path": "/api/insights",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key}".encode())],
            "client": (address, 50_000),
        }
        await guard(scope, receive, send)

    with a_policy_server() as server:
        sent_at = Clock(wall=lambda: NOON + 0.25)
        origin = Origin("production", None, None)
        client.connect(server.dsn, origin=origin, clock=sent_at)
        for _ in range(12):
            asyncio.run(asked("POST", "203.0.113.7", WRITER))
        asyncio.run(asked("GET", "198.51.100.4", credential))
        assert mainstay.flush(5)
        mainstay.close()

    (report,), (headers,) = server.reports, server.report_headers
    # The golden stranger sent a well-formed key, which cannot hash to the golden digits.
    full["passages"][1]["refusal"] = "key-malformed"
    assert len(report["batchId"]) == 32
    assert report == {**full, "batchId": report["batchId"]}
    assert list(report) == list(full)
    assert list(report["passages"][0]) == list(full["passages"][0])
    assert headers["authorization"] == f"Bearer {KEY}"


def rows(server: PolicyServer) -> list[tuple[Any, ...]]:
    assert mainstay.flush(5)
    names = ("method", "route", "address", "keyId", "status", "refusal", "simulated", "cost")
    return [tuple(passage[name] for name in names) for passage in server.passages()]


@either
def test_refusals_are_told_with_their_reason_and_never_a_key(
    kind: str, server: PolicyServer
) -> None:
    world = a_world(kind, a_policy())
    world.ask("/api/users/77", headers=bearer(UNKNOWN))
    world.ask("/api/users/78", peer="192.0.2.1")
    world.ask("/api/insights", method="POST", headers=bearer(READER))
    world.ask("/docs")

    assert rows(server) == [
        ("GET", "/api/users/{id}", "203.0.113.9", "", 401, "key-unknown", False, 0),
        ("GET", "/api/users/{id}", "192.0.2.1", "", 403, "address-not-allowed", False, 0),
        ("POST", "/api/insights", "203.0.113.9", "key-reader", 403, "insufficient-scope", False, 0),
        ("GET", "/docs", "203.0.113.9", "", 200, "", False, 1),
    ]
    told = json.dumps(server.reports)
    assert UNKNOWN not in told
    assert READER not in told
    credentials = [passage["credential"] for passage in server.passages()]
    assert [len(credential) for credential in credentials] == [16, 0, 0, 0]


@either
def test_what_a_dry_run_would_have_refused_is_told_as_simulated(
    kind: str, server: PolicyServer
) -> None:
    world = a_world(kind, a_bare_policy(limits=a_limit(quota=1)), dry_run=True)
    world.ask()
    world.ask()

    assert [row[4:] for row in rows(server)] == [
        (200, "", False, 1),
        (200, "rate-limited", True, 1),
    ]


def test_routes_are_told_by_their_template_and_strangers_paths_without_ids(
    server: PolicyServer,
) -> None:
    api = FastAPI()

    @api.get("/items/{item}")
    @mainstay.cost(3)
    async def read(item: int) -> int:
        return item

    flask = Flask("small")

    @flask.get("/items/<int:item>")
    def read_item(item: int) -> str:
        return "ok"

    for guarded, served, scanned in (
        (mainstay.Guard(api), served_asgi, "/wp-admin/1234/x.php"),
        (mainstay.Guard(flask, policy=a_bare_policy()), served_wsgi, "/old/1234/x.php"),
    ):
        with served(guarded) as port:
            ask(port, "/items/4")
            ask(port, scanned)
    eventually(lambda: len(rows(server)) == 4)

    assert [(row[1], row[4], row[7]) for row in rows(server)] == [
        ("/items/{item}", 200, 3),
        ("/wp-admin/{id}/x.php", 404, 1),
        ("/items/<int:item>", 200, 1),
        ("/old/{id}/x.php", 404, 1),
    ]


def test_request_metrics_tell_the_true_client_and_the_key(server: PolicyServer) -> None:
    client_rules = {"trustedHops": 1}
    world = a_world("asgi", a_policy("allowlist", client=client_rules))
    headers = {**bearer(READER), "X-Forwarded-For": "203.0.113.9"}
    world.ask("/api/insights", peer="127.0.0.1", headers=headers)
    connected = client.active_client()
    assert connected is not None

    request = json.loads(connected.backlog.take().encode(NOON))["requests"][0]

    assert (request["clientAddress"], request["apiKey"]) == ("203.0.113.9", "key-reader")
    assert request["status"] == 200


@either
def test_a_refusal_counts_as_one_unmatched_request(kind: str, server: PolicyServer) -> None:
    a_world(kind, a_policy()).ask("/api/insights")
    connected = client.active_client()
    assert connected is not None

    requests = json.loads(connected.backlog.take().encode(NOON))["requests"]

    assert [(r["path"], r["status"]) for r in requests] == [("(unmatched)", 401)]


@either
def test_within_the_measuring_middleware_a_request_is_measured_once(
    kind: str, server: PolicyServer
) -> None:
    world = a_world(kind, a_bare_policy())
    around = mainstay.ASGIMiddleware if kind == "asgi" else mainstay.WSGIMiddleware
    world.guard = around(world.guard)
    world.ask()
    connected = client.active_client()
    assert connected is not None

    assert len(connected.backlog) == 1
    assert len(passages()) == 1


def test_a_batch_keeps_its_id_and_its_content_until_it_is_taken() -> None:
    with a_policy_server() as server:
        server.report_status = 503
        mainstay.init(server.dsn, policy_cache=False, flush_interval_seconds=0.05)
        world = a_world("wsgi", a_bare_policy())
        world.ask()
        eventually(lambda: len(server.reports) == 1)
        world.now += 1
        world.ask()
        server.report_status = 200
        eventually(lambda: len(server.reports) == 3)
        mainstay.close()

    first, again, later = server.reports
    for report in (first, again, later):
        del report["sentAt"]
    assert first == again
    assert later["batchId"] != first["batchId"]
    assert [passage["count"] for passage in first["passages"] + later["passages"]] == [1, 1]


def test_memory_is_bounded_and_what_does_not_fit_is_counted() -> None:
    with a_policy_server() as server:
        server.say(404, b"{}")
        mainstay.init(server.dsn, policy_cache=False, max_queue=50, flush_interval_seconds=60)
        world = a_world("wsgi", a_bare_policy())
        for number in range(200):
            world.ask(f"/path-{number}")
        for _ in range(10):
            world.ask("/path-0")  # a sum that is there already costs nothing
        assert len(passages()) == 50
        assert mainstay.flush(5)
        world.ask()
        assert mainstay.flush(5)
        mainstay.close()

    first, second = server.reports
    assert (first["dropped"], second["dropped"]) == (150, 0)
    assert sum(passage["count"] for passage in first["passages"]) == 60


def test_many_sums_go_in_several_messages() -> None:
    with a_policy_server() as server:
        server.say(404, b"{}")
        mainstay.init(server.dsn, policy_cache=False, flush_interval_seconds=60)
        world = a_world("wsgi", a_bare_policy())
        for number in range(2_500):
            world.ask(f"/path-{number}x")
        assert mainstay.flush(10)
        mainstay.close()

    assert [len(report["passages"]) for report in server.reports] == [1_000, 1_000, 500]
    assert len({report["batchId"] for report in server.reports}) == 3


def test_a_server_that_takes_no_reports_still_takes_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with a_policy_server() as server:
        server.report_status = 404
        mainstay.init(server.dsn, policy_cache=False)
        world = a_world("wsgi", a_bare_policy())
        for _ in range(3):
            world.ask()
            mainstay.flush(5)
        connected = client.active_client()
        assert connected is not None
        mainstay.close()

    said = [r.getMessage() for r in caplog.records if "guard's reports" in r.getMessage()]
    assert len(said) == 1


def test_without_a_guard_key_nothing_is_reported() -> None:
    with a_policy_server() as server:
        mainstay.init(f"http://ingest@127.0.0.1:{server.port}/prefix/7")
        a_world("wsgi", a_bare_policy()).ask()
        assert mainstay.flush(5)
        mainstay.close()

    assert server.reports == []


def test_decisions_without_the_shared_store_are_told() -> None:
    with a_policy_server() as server:
        server.say(404, b"{}")
        mainstay.init(server.dsn, policy_cache=False, flush_interval_seconds=60)
        policy = a_bare_policy(version=42, limits=a_limit())
        a_world("wsgi", policy, redis="redis://127.0.0.1:1/0").ask()
        assert mainstay.flush(5)
        a_world("wsgi", policy).ask()
        assert mainstay.flush(5)
        mainstay.close()

    assert [(r["degraded"], r["policyVersion"]) for r in server.reports] == [
        (True, 42),
        (False, 42),
    ]
