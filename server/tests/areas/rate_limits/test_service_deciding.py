"""One request under every limit that holds for it, as the golden files say."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mainstay_server.areas.rate_limits.service import deciding
from mainstay_server.areas.rate_limits.service.deciding import Compiled, compile_section
from mainstay_server.kernel import limits
from mainstay_server.kernel.guard import Facts, GuardedRequest, Passage
from mainstay_server.kernel.limits import Limiter
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web.problems import problem_headers
from tests.areas.rate_limits.conftest import NOON
from tests.kernel.test_limits_away import Switched

WIRE = Path(__file__).parents[4] / "wire/guard"
POLICY = json.loads((WIRE / "policy.full.json").read_text())
CASES = [
    case
    for case in json.loads((WIRE / "verdicts.json").read_text())["cases"]
    if case["expect"]["code"] == "rate-limited" or "RateLimit" in case["expect"].get("headers", {})
]
KEYS = {key["id"]: key for key in POLICY["keys"]["keys"]}
INSTANCE = InstanceRef(
    id="0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    environment="production",
    url="",
    project_id="project",
    project_number=1,
    project_slug="inspections",
    project_name="Inspections",
    organization_id="organization",
)
ANN = Facts(key_id="ann", owner="acme", plan="FREE")


def policy(name: str = "default", **values: Any) -> dict[str, Any]:
    return {"name": name, "quota": 2, "windowSeconds": 60, **values}


def compiled(*policies: dict[str, Any]) -> Compiled:
    return compile_section({"policies": list(policies)})


def ask(
    section: Compiled,
    *,
    facts: Facts = Facts(),  # noqa: B008 - frozen
    path: str = "/docs",
    method: str = "GET",
    address: str = "203.0.113.9",
    at: datetime = NOON,
    **more: Any,
) -> tuple[Passage, Problem | None]:
    """One request, and the problem that refused it."""
    request = GuardedRequest(
        instance=INSTANCE,
        method=method,
        path=path,
        address=address,
        credential="",
        at=at,
        **more,
    )
    passage = Passage(request=request, facts=facts)
    try:
        asyncio.run(deciding.decide(section, passage))
    except Problem as problem:
        return passage, problem
    return passage, None


def passes(section: Compiled, **asked: Any) -> bool:
    return ask(section, **asked)[1] is None


def facts_of(credential: str) -> Facts:
    """What the key step would say of the golden keys."""
    found = next((k for k in KEYS if credential and credential[20] == k[4]), None)
    if found is None:
        return Facts()
    key = KEYS[found]
    return Facts(
        key_id=key["id"], owner=key["owner"], plan=key["plan"], limits=tuple(key["limits"])
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["promise"].replace(" ", "-"))
def test_every_golden_case_about_limits_comes_out(case: dict[str, Any]) -> None:
    section = compile_section(POLICY["limits"])
    request, expected = case["request"], case["expect"]
    passage, problem = None, None
    for turn in range(case["repeat"]):
        passage, problem = ask(
            section,
            facts=facts_of(request["credential"]),
            method=request["method"],
            path=request["path"],
            address=request["address"].replace("%x", f"{turn + 1:x}"),
        )
    assert passage is not None
    headers = {**passage.headers, **(problem_headers(problem) if problem else {})}
    headers = {name.lower(): value for name, value in headers.items()}
    told = {name.lower(): value for name, value in expected.get("headers", {}).items()}

    assert (problem.code if problem else "") == expected["code"]
    assert {name: headers[name] for name in told} == told
    if "violatedPolicies" in expected:
        assert problem is not None
        assert problem.members["violated-policies"] == expected["violatedPolicies"]
        assert problem.type == expected.get("type", problem.type)


def test_who_is_counted_depends_on_by() -> None:
    other_key = Facts(key_id="ben", owner="acme", plan="FREE")
    other_owner = Facts(key_id="cid", owner="umbrella", plan="FREE")
    for by, together, apart in (
        ("caller", {"facts": ANN, "address": "192.0.2.7"}, {"facts": other_key}),
        ("key", {"facts": ANN, "address": "192.0.2.7"}, {"facts": other_key}),
        ("owner", {"facts": other_key}, {"facts": other_owner}),
        ("plan", {"facts": other_owner}, {"facts": Facts(key_id="dan", plan="PRO")}),
        ("address", {"facts": other_key}, {"facts": ANN, "address": "192.0.2.7"}),
        ("instance", {"address": "192.0.2.7"}, None),
        ("person", {"facts": other_key, "person": "p1"}, {"facts": ANN, "person": "p2"}),
    ):
        section = compiled(policy(by=by, quota=1))
        first = {"facts": ANN, "person": "p1"} if by == "person" else {"facts": ANN}
        assert passes(section, **first), by
        assert not passes(section, **together), by
        assert apart is None or passes(section, **apart), by
        limits.close_limits()


@pytest.mark.parametrize("by", ["key", "owner", "plan", "person"])
def test_what_is_not_known_falls_back_to_the_caller(by: str) -> None:
    section = compiled(policy(by=by, quota=1))

    assert passes(section)
    assert not passes(section), "without a key that is the address"
    assert passes(section, address="192.0.2.7")
    assert passes(section, facts=Facts(key_id="ann"))
    assert not passes(section, facts=Facts(key_id="ann"), address="192.0.2.7"), "else the key"


def test_addresses_of_one_ipv6_network_are_one_by_the_policys_prefix() -> None:
    section = compiled(policy(quota=1))

    assert passes(section, address="2001:db8:0:1::1")
    assert passes(section, address="2001:db8:0:2::1")
    assert not passes(section, address="2001:db8:0:1:ffff::9")
    assert passes(section, address="2001:db8:0:1::1", ipv6_prefix_length=56)
    assert not passes(section, address="2001:db8:0:2::1", ipv6_prefix_length=56)


def test_an_ipv4_address_in_ipv6_is_that_address() -> None:
    section = compiled(policy(quota=1))

    assert passes(section, address="::ffff:203.0.113.9")
    assert not passes(section, address="203.0.113.9")


def test_without_an_address_what_counts_addresses_is_not_counted() -> None:
    section = compiled(policy(quota=1))

    assert [passes(section, address="") for _ in range(3)] == [True] * 3


def test_a_limit_holds_for_its_methods_paths_and_plans_only() -> None:
    section = compiled(
        policy(quota=1, methods=["POST"], paths=["/api/reports", "/files/*"], plans=["FREE"])
    )
    asked: dict[str, Any] = {"facts": ANN, "method": "POST", "path": "/api/reports"}

    assert passes(section, **asked)
    assert not passes(section, **asked)
    assert not passes(section, **{**asked, "path": "/files/a/b"})
    for other in ({"method": "GET"}, {"path": "/api/reports/7"}, {"facts": Facts(key_id="x")}):
        assert [passes(section, **{**asked, **other}) for _ in range(3)] == [True] * 3


def test_all_limits_that_hold_are_one_decision() -> None:
    section = compiled(policy("wide", quota=3), policy("tight", quota=1, paths=["/reports"]))

    assert passes(section, path="/reports")
    _, problem = ask(section, path="/reports")
    assert problem is not None
    assert problem.members["violated-policies"] == ["tight"]
    assert [passes(section) for _ in range(3)] == [True, True, False], "wide was charged once"


def test_a_request_costs_its_own_cost_times_that_of_the_limit() -> None:
    section = compiled(policy(quota=12, cost=2))

    passage, _ = ask(section, cost=3)
    assert passage.headers["RateLimit"] == '"default";r=6;t=30'
    assert passes(section, cost=3)
    assert not passes(section)


def test_waiting_as_long_as_told_admits() -> None:
    section = compiled(policy(quota=1, windowSeconds=7))
    assert passes(section)
    _, problem = ask(section)
    assert problem is not None
    assert problem.retry_after_seconds == 7
    early = NOON + timedelta(seconds=7) - timedelta(microseconds=1)

    assert not passes(section, at=early)
    assert passes(section, at=NOON + timedelta(seconds=7))


def test_a_limit_that_only_simulates_refuses_nobody_and_is_told_of() -> None:
    section = compiled(policy(quota=1, simulate=True), policy("other", quota=5))

    told = [ask(section) for _ in range(3)]

    assert [problem for _, problem in told] == [None] * 3
    assert [passage.simulated for passage, _ in told] == ["", "rate-limited", "rate-limited"]
    assert "default" not in told[-1][0].headers["RateLimit-Policy"]


def test_a_keys_own_limits_hold_also_where_no_other_limit_does() -> None:
    facts = Facts(
        key_id="ann",
        limits=({"quota": 2, "windowSeconds": 60}, {"quota": 3, "windowSeconds": 3600}),
    )
    section = compiled()

    passage, _ = ask(section, facts=facts)
    assert passage.headers["RateLimit-Policy"] == '"key";q=2;w=60, "key";q=3;w=3600'
    assert passes(section, facts=facts)
    _, problem = ask(section, facts=facts)
    assert problem is not None
    assert problem.members["violated-policies"] == ["key"]
    assert passes(section, facts=Facts(key_id="ben", limits=facts.limits))


def test_a_keys_limit_that_is_too_fast_to_be_counted_holds_nobody_back() -> None:
    facts = Facts(key_id="ann", limits=({"quota": 1_000_000, "windowSeconds": 1},))
    assert passes(compiled(), facts=facts)


@pytest.mark.parametrize(
    ("declared", "code"), [("local", ""), ("allow", ""), ("deny", "limiter-unavailable")]
)
def test_without_the_shared_store_each_limit_does_what_it_declares(
    declared: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Switched()
    store.is_away = True
    limiter = Limiter(store)
    monkeypatch.setattr(limits._Open, "limiter", limiter)

    _, problem = ask(compiled(policy(onBackendError=declared)))
    limiter.close()

    assert (problem.code if problem else "") == code


def test_many_paths_do_not_fill_the_memory() -> None:
    section = compiled(policy(quota=5000, windowSeconds=1))
    for number in range(deciding.MOST_ROUTES_REMEMBERED + 500):
        section.of_route("GET", f"/{number}")
    section.of_route("GET", "/" + "x" * 1000)

    assert len(section.routes) <= deciding.MOST_ROUTES_REMEMBERED
