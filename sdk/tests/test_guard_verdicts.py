"""The golden cases of wire/guard: both doors, limiter and quotas agree with every one of them."""

from datetime import datetime
from typing import Any

import mainstay
import pytest
from fastapi import FastAPI
from mainstay._internal.clock import Clock
from mainstay._internal.guard.limits import Buckets, Charge, Limit
from tests.guarding import NOON, READER, Told, World, a_policy, a_world, asked_asgi, bearer, golden

CASES = golden("verdicts.json")["cases"]
TRACES = golden("limits.json")["traces"]
SPENT = golden("quotas.json")["traces"]


def asked(world: World, request: dict[str, Any], nth: int, *, counted: bool) -> Told:
    headers = bearer(request["credential"]) if request["credential"] else {}
    if "contentLength" in request:
        headers["Content-Length"] = str(request["contentLength"])
    return world.ask(
        request["path"],
        method=request["method"],
        peer=request["address"] % nth if counted else request["address"],
        headers=headers,
    )


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("case", CASES, ids=[case["promise"] for case in CASES])
def test_every_golden_verdict(kind: str, case: dict[str, Any]) -> None:
    policy = a_policy(
        *case.get("without", ()), **({"mode": case["mode"]} if "mode" in case else {})
    )
    world = a_world(kind, policy)
    world.now = datetime.fromisoformat(case["now"]).timestamp() if "now" in case else NOON
    counted = case.get("countAddress", False)

    told = [
        asked(world, case["request"], nth, counted=counted)
        for nth in range(1, case.get("repeat", 1) + 1)
    ][-1]

    expect = case["expect"]
    assert (told.status, told.code) == (expect["status"], expect["code"])
    wanted = {name.lower(): value for name, value in expect.get("headers", {}).items()}
    assert {name: told.headers.get(name) for name in wanted} == wanted
    if "type" in expect:
        assert told.problem["type"] == expect["type"]
    if "violatedPolicies" in expect:
        assert told.problem["violated-policies"] == expect["violatedPolicies"]
    if "keyId" in expect:
        assert told.passage is not None
        assert told.passage.key_id == expect["keyId"]
    if "simulated" in expect:
        assert told.passage is not None
        assert told.passage.simulated is not None
        assert told.passage.simulated.code == expect["simulated"]


@pytest.mark.parametrize(
    "trace", TRACES, ids=[f"{t['quota']} in {t['windowSeconds']} s" for t in TRACES]
)
def test_every_golden_trace_of_the_limiter_to_the_microsecond(trace: dict[str, Any]) -> None:
    buckets = Buckets(10)
    limit = Limit(
        key="k",
        name="n",
        quota=trace["quota"],
        window_seconds=trace["windowSeconds"],
        burst=trace["burst"],
    )
    for step in trace["steps"]:
        charge = Charge(limit, "b", limit.interval_us * step["cost"], limit.tolerance_us)

        decision = buckets.decide([charge], step["atUs"])

        (standing,) = decision.standings
        assert {
            "admitted": decision.admitted,
            "remaining": standing.remaining,
            "retryAfterUs": standing.wait_us,
            "fullInUs": standing.full_in_us,
        } == {name: step[name] for name in ("admitted", "remaining", "retryAfterUs", "fullInUs")}


@pytest.mark.parametrize("trace", SPENT, ids=[trace["promise"] for trace in SPENT])
def test_every_golden_trace_of_a_quota(trace: dict[str, Any]) -> None:
    api = FastAPI()
    for step in trace["steps"]:
        api.get(f"/{step['cost']}")(mainstay.cost(step["cost"])(nothing))
    meter = {
        "meter": "calls",
        "subject": "owner:acme",
        "remaining": trace["remaining"],
        "mode": trace["mode"],
        "resetsAt": "2030-01-01T00:00:00.000Z",
    }
    policy = a_policy("limits", "allowlist", quotas={"meters": [meter]})
    guard: Any = mainstay.Guard(api, clock=Clock(wall=lambda: NOON), policy=policy)
    for step in trace["steps"]:
        told = asked_asgi(
            guard, f"/{step['cost']}", method="GET", peer="203.0.113.9", headers=bearer(READER)
        )

        (left,) = guard._rules._meters["owner:acme"]
        assert told.code == ("" if step["admitted"] else "quota-exceeded")
        assert left.remaining == step["remaining"]


async def nothing() -> None:
    """What costs a call."""
