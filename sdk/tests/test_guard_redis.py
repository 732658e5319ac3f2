"""Limits in a real Redis: the same verdicts as in memory, and what holds while it is away."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import mainstay
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mainstay._internal.guard.in_redis import RedisStore, decision_of
from mainstay._internal.guard.limits import Buckets, Charge, Limit
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.app_servers import ask, eventually, served_asgi, served_wsgi
from tests.guarding import World, a_bare_policy, a_limit, golden
from tests.servers.redis import RedisServer, running_redis

pytestmark = pytest.mark.slow

# Far above what a busy machine takes for an answer; only tests about silence need the real one.
PATIENT_SECONDS = 20.0


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisStore.__init__, "__kwdefaults__", {"timeout_seconds": PATIENT_SECONDS})


def a_rate(key: str, *, quota: int, window: int, burst: int, simulate: bool = False) -> Limit:
    return Limit(
        key=key, name=key, quota=quota, window_seconds=window, burst=burst, simulate=simulate
    )


LIMITS = st.builds(
    a_rate,
    st.sampled_from("abc"),
    quota=st.integers(1, 50),
    window=st.sampled_from([1, 60, 3_600]),
    burst=st.integers(1, 50),
    simulate=st.booleans(),
)
STEPS = st.lists(
    st.tuples(st.integers(0, 60_000_000), st.integers(-1, 60)), min_size=1, max_size=30
)


@given(limits=st.lists(LIMITS, min_size=1, max_size=3, unique_by=lambda one: one.key), steps=STEPS)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_same_trace_gets_the_same_verdicts_in_memory_and_in_redis(
    redis_server: RedisServer, limits: list[Limit], steps: list[tuple[int, int]]
) -> None:
    memory = Buckets(100)
    store = RedisStore(redis_server.url, Buckets(100), timeout_seconds=PATIENT_SECONDS)
    trace = f"{time.monotonic_ns()}"
    now_us = time.time_ns() // 1_000
    try:
        for wait_us, cost in steps:
            now_us += wait_us
            charges = [
                Charge(limit, f"{trace}{limit.key}", limit.interval_us * cost, limit.tolerance_us)
                for limit in limits
            ]

            shared = decision_of(charges, store.run(charges, at_us=now_us))

            assert shared == memory.decide(charges, now_us)
    finally:
        store.close()


@pytest.mark.parametrize("trace", golden("limits.json")["traces"])
def test_every_golden_trace_in_redis(redis_server: RedisServer, trace: dict[str, Any]) -> None:
    store = RedisStore(redis_server.url, Buckets(100), timeout_seconds=PATIENT_SECONDS)
    limit = a_rate(
        f"golden {time.monotonic_ns()}",
        quota=trace["quota"],
        window=trace["windowSeconds"],
        burst=trace["burst"],
    )
    for step in trace["steps"]:
        charge = Charge(limit, limit.key, limit.interval_us * step["cost"], limit.tolerance_us)

        decision = decision_of([charge], store.run([charge], at_us=step["atUs"]))

        (standing,) = decision.standings
        assert (decision.admitted, standing.remaining, standing.wait_us, standing.full_in_us) == (
            step["admitted"],
            step["remaining"],
            step["retryAfterUs"],
            step["fullInUs"],
        )
    store.close()


def an_app() -> Starlette:
    async def ok(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", ok)])


def a_wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


def close(guard: Any) -> None:
    guard.limiter.shared.close()


def statuses(port: int, count: int) -> list[int]:
    return [ask(port, "/")[0] for _ in range(count)]


@pytest.mark.usefixtures("patient")
def test_asgi_and_wsgi_share_one_bucket(redis_server: RedisServer) -> None:
    policy = a_bare_policy(instanceId="shared", limits=a_limit(windowSeconds=86_400))
    asgi = mainstay.Guard(an_app(), policy=policy, redis=redis_server.url)
    wsgi = mainstay.Guard(a_wsgi_app, policy=policy, redis=redis_server.url)
    with served_asgi(asgi) as one, served_wsgi(wsgi) as other:
        got = [*statuses(one, 3), *statuses(other, 3), *statuses(one, 1)]
    close(wsgi)

    assert got == [200, 200, 200, 200, 200, 429, 429]


@pytest.mark.usefixtures("patient")
def test_apps_with_different_instances_share_nothing(redis_server: RedisServer) -> None:
    for instance in ("first", "second"):
        policy = a_bare_policy(instanceId=instance, limits=a_limit(windowSeconds=86_400))
        with served_asgi(mainstay.Guard(an_app(), policy=policy, redis=redis_server.url)) as port:
            assert statuses(port, 6) == [200, 200, 200, 200, 200, 429]


@pytest.mark.parametrize(
    ("rule", "away"),
    [("local", [200, 200, 429]), ("deny", [503, 503, 503]), ("allow", [200, 200, 200])],
)
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_redis_killed_in_mid_traffic_leaves_each_rule_in_force_and_comes_back(
    kind: str, rule: str, away: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_redis() as server:
        policy = a_bare_policy(limits=a_limit(onBackendError=rule, windowSeconds=86_400))
        guard: Any = mainstay.Guard(
            an_app() if kind == "asgi" else a_wsgi_app, policy=policy, redis=server.url
        )
        shared = guard.limiter.shared
        shared._timeout_seconds = PATIENT_SECONDS
        for options in (shared._options, shared._client.connection_pool.connection_kwargs):
            options.update(socket_timeout=PATIENT_SECONDS, socket_connect_timeout=PATIENT_SECONDS)
        with (served_asgi if kind == "asgi" else served_wsgi)(guard) as port:
            assert statuses(port, 3) == [200, 200, 200]
            assert not guard.limiter.degraded

            server.kill()
            # The process knows that three of five were used when Redis went away.
            assert statuses(port, 3) == away
            assert guard.limiter.degraded

            server.start()  # it kept nothing
            # Counting together again is what shows in Redis' own memory.
            eventually(lambda: [ask(port, "/")] and _keys(server.port) > 0)
            assert {*statuses(port, 6)} == {200, 429}
        if kind == "wsgi":
            shared.close()


def _keys(port: int) -> int:
    with redis.Redis(port=port) as connection:
        return int(connection.dbsize())


def test_a_silent_redis_costs_a_few_time_outs_and_then_nothing(redis_server: RedisServer) -> None:

    policy = a_bare_policy(instanceId="silent", limits=a_limit(quota=10_000, burst=10_000))
    world = World("wsgi", {"policy": policy, "redis": redis_server.url})
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        took = []
        for _ in range(200):
            began = time.perf_counter()
            assert world.ask().status == 200
            took.append(time.perf_counter() - began)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    world.guard.limiter.shared.close()

    # Two hundred time-outs would be ten seconds; at most the first three and a probe a second wait.
    waited = [seconds for seconds in took if seconds >= 0.04]
    assert 3 <= len(waited) <= 3 + sum(took) + 1


def test_a_silent_redis_does_not_hold_up_the_event_loop(redis_server: RedisServer) -> None:

    policy = a_bare_policy(instanceId="loop", limits=a_limit())
    guard: Any = mainstay.Guard(an_app(), policy=policy, redis=redis_server.url)
    ticks = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.001)

    async def scenario() -> None:
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.01)
        before = len(ticks)
        await _one_request(guard)
        assert len(ticks) - before >= 5, "the loop ran while Redis kept silent"
        ticking.cancel()
        await guard.limiter.shared.close_async()

    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        asyncio.run(scenario())
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)


async def _one_request(guard: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    basics = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await guard({**basics, "client": ("203.0.113.9", 1), "root_path": ""}, receive, send)


A_WORKER = """
import json, sys, mainstay
limit = {"name": "all", "quota": 100, "windowSeconds": 86400, "onBackendError": "deny"}
policy = {"version": 1, "instanceId": "hammered", "limits": {"policies": [limit]}}
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
guard = mainstay.Guard(app, policy=policy, redis=sys.argv[1])
got = []
def start_response(status, headers, error=None):
    got.append(int(status[:3]))
for _ in range(150):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "REMOTE_ADDR": "203.0.113.9"}
    list(guard(environ, start_response))
print(json.dumps([got.count(200), got.count(429), got.count(503)]))
"""


def test_two_processes_together_never_admit_more_than_the_limit(redis_server: RedisServer) -> None:
    command = [sys.executable, "-c", A_WORKER, redis_server.url]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    counts = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]

    admitted = sum(count[0] for count in counts)
    assert admitted <= 100
    # What Redis did not decide in time is refused, so only that may be missing.
    assert admitted + sum(count[2] for count in counts) >= 100


def test_a_redis_that_never_was_there_leaves_the_limits_to_the_process() -> None:
    policy = a_bare_policy(limits=a_limit(quota=2, burst=2))
    world = World("wsgi", {"policy": policy, "redis": "redis://127.0.0.1:1/0"})

    assert [world.ask().status for _ in range(3)] == [200, 200, 429]
    assert json.loads(world.ask().body)["code"] == "rate-limited"
