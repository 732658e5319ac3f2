from typing import Any

from mainstay_server.contracts.quotas import PlanChanged
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import said_events
from tests.world import World


def use(world: World, **body: object) -> Any:
    path = f"/api/instances/{world.instance.id}/usage"
    return world.bob.post(path, json={"meter": "autopilot_runs", **body})


def on_plan(world: World, plan: str) -> None:
    assert world.alice.put("/api/v1/plan", json={"plan": plan}).status_code == 200


def test_an_organization_starts_without_limits_and_is_put_on_a_plan(world: World) -> None:
    before = world.bob.get("/api/v1/usage").json()
    assert (before["plan"], before["warnings"], before["upgrade"]) == ("ENTERPRISE", [], None)
    assert before["meters"][0] == {
        "meter": "calls",
        "used": 0,
        "limit": None,
        "remaining": None,
        "percent": None,
        "mode": None,
    }

    on_plan(world, "FREE")
    after = world.bob.get("/api/v1/usage").json()
    limits = {meter["meter"]: meter["limit"] for meter in after["meters"]}
    assert limits == {
        "calls": 100,
        "storage_bytes": 104_857_600,
        "autopilot_runs": 5,
        "guardian_tests": 20,
        "insight_analyses": 10,
    }
    with reading() as session:
        said = [event for _, event in said_events(session) if isinstance(event, PlanChanged)]
    assert said[0].changes == {"plan": ("ENTERPRISE", "FREE")}


def test_plans_are_listed_with_the_documents_numbers(world: World) -> None:
    answer = world.bob.get("/api/v1/plans").json()
    assert [plan["name"] for plan in answer["plans"]] == ["FREE", "PRO", "ENTERPRISE"]
    assert answer["plans"][1]["limits"] == {"calls": 10_000, "storage_bytes": 10_737_418_240}
    assert answer["current"] == "ENTERPRISE"


def test_a_named_operation_is_used_once_per_id_and_refused_at_its_limit(world: World) -> None:
    on_plan(world, "FREE")
    first = use(world, amount=4, id="job-1").json()
    assert (first["used"], first["remaining"], first["counted"]) == (4, 1, True)
    again = use(world, amount=4, id="job-1").json()
    assert (again["used"], again["counted"]) == (4, False)

    refused = use(world, amount=2)
    assert refused.status_code == 429
    assert refused.json()["code"] == "quota-exceeded"
    assert refused.json()["violated-policies"] == ["autopilot_runs"]
    assert int(refused.headers["retry-after"]) > 0
    usage = world.bob.get("/api/v1/usage").json()
    assert usage["warnings"] == ["80 % of autopilot_runs are used."]
    assert usage["upgrade"] == "PRO"


def test_only_the_same_use_is_counted_once(world: World) -> None:
    long = "x" * 60
    assert use(world, id=f"{long}a").json()["counted"]
    assert use(world, id=f"{long}b").json()["counted"]
    assert use(world, id=f"{long}a", meter="other").json()["counted"]
    assert not use(world, id=f"{long}a").json()["counted"]


def test_history_tells_months(world: World) -> None:
    use(world, amount=3)
    (month,) = world.bob.get("/api/v1/usage/history").json()["history"]
    assert month["meters"] == {"autopilot_runs": 3}


def test_an_owner_has_a_plan_of_its_own(world: World) -> None:
    base = f"/api/instances/{world.instance.id}"
    answer = world.alice.put(f"{base}/owners/acme/plan", json={"plan": "FREE"})
    assert (answer.json()["subject"], answer.json()["plan"]) == ("owner:acme", "FREE")
    assert use(world, owner="acme", amount=6).status_code == 429
    assert use(world, owner="other", amount=6).status_code == 200
    assert world.bob.get(f"{base}/usage?owner=acme").json()["plan"] == "FREE"


def test_what_makes_no_sense_is_refused(world: World) -> None:
    assert use(world, amount=0).status_code == 400
    assert use(world, meter="No Meter").status_code == 400
    assert world.alice.put("/api/v1/plan", json={"plan": "GOLD"}).status_code == 400
    assert world.alice.put("/api/v1/plan", json={"timeZone": "Mars/Base"}).status_code == 400
    assert world.bob.get("/api/v1/usage/history?months=0").status_code == 400


def test_only_owners_change_the_plan_and_nobody_sees_that_of_others(world: World) -> None:
    on_plan(world, "FREE")
    assert world.bob.put("/api/v1/plan", json={"plan": "PRO"}).status_code == 403
    assert world.charlie.get("/api/v1/usage").json()["plan"] == "ENTERPRISE"
    path = f"/api/instances/{world.instance.id}/usage"
    assert world.charlie.get(path).status_code == 403
    assert world.charlie.post(path, json={"meter": "calls"}).status_code == 403
