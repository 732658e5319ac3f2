"""The API of probes: who may, what a probe is told, and what becomes of what it reports."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest
from mainstay_server.areas.health_checks import area
from mainstay_server.areas.health_checks.api.probes import is_secure
from mainstay_server.areas.health_checks.models import CheckPlace, Probe
from mainstay_server.areas.health_checks.service import probes
from mainstay_server.areas.health_checks.settings import HealthCheckSettings
from mainstay_server.kernel import columns
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.settings import override_settings
from starlette.requests import Request
from tests.world import Browser, World

PROBES = "/api/probes"
SECRET = "hunter2-of-the-shop"


@pytest.fixture
def world(client_for: Callable[..., World]) -> Iterator[World]:
    yield client_for(area)
    override_settings(HealthCheckSettings())


@dataclass
class AProbe:
    """A probe as it speaks to the server."""

    world: World
    id: str
    token: str

    def plan(self, after: str = "", **query: Any) -> Any:
        return self.ask("GET", "/api/probe/plan", params={"after": after, **query}).json()

    def report(self, *results: dict[str, Any], **more: Any) -> Any:
        body = {"results": list(results), **more}
        answer = self.ask("POST", "/api/probe/results", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return self.world.stranger.request(method, path, headers=headers, **options)


def add(world: World, owner: Browser, location: str = "Oslo") -> AProbe:
    answer = owner.post(PROBES, json={"name": "box", "location": location})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["token"] in made["command"]
    return AProbe(world, made["id"], made["token"])


def a_check(owner: Browser, instance_id: str, *locations: str, **more: Any) -> dict[str, Any]:
    wanted = {"url": "https://shop.example/health", "locations": list(locations), **more}
    answer = owner.post(f"/api/instances/{instance_id}/health-checks", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def result(planned: dict[str, Any], *, at: datetime, state: str = "healthy") -> dict[str, Any]:
    reason = "" if state == "healthy" else "answered 503"
    return {
        "id": planned["id"],
        "digest": planned["digest"],
        "at": rfc3339(at),
        "finishedAt": rfc3339(at + timedelta(milliseconds=80)),
        "state": state,
        "responseMs": 80.0,
        "statusCode": 200 if state == "healthy" else 503,
        "reason": reason,
    }


def stored() -> int:
    return int(columns.query_value("SELECT count() FROM health_results"))


def test_the_token_is_shown_once_and_lies_nowhere(world: World) -> None:
    probe = add(world, world.alice)

    listed = world.alice.get(PROBES)

    assert probe.token not in listed.text
    (one,) = listed.json()["probes"]
    assert (one["state"], one["location"], one["lastSeenAt"]) == ("new", "Oslo", None)
    with reading() as session:
        row = session.get_one(Probe, probe.id)
        assert all(probe.token not in str(value) for value in vars(row).values())


def test_one_probe_for_each_place_and_none_for_here(world: World) -> None:
    add(world, world.alice)

    twice = world.alice.post(PROBES, json={"name": "other", "location": "Oslo"})
    here = world.alice.post(PROBES, json={"name": "other", "location": "here"})

    assert (twice.status_code, here.status_code) == (409, 400)


def test_a_member_sees_probes_and_only_who_administers_adds_and_removes(world: World) -> None:
    probe = add(world, world.alice)

    assert world.bob.get(PROBES).json()["probes"][0]["id"] == probe.id
    assert world.bob.post(PROBES, json={"name": "b", "location": "Rome"}).status_code == 403
    assert world.bob.delete(f"{PROBES}/{probe.id}").status_code == 403
    assert world.charlie.get(PROBES).json()["probes"] == []
    assert world.charlie.delete(f"{PROBES}/{probe.id}").status_code == 404


def test_a_probe_is_told_what_it_asks_and_nothing_else(world: World) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "here")
    mine = a_check(world.alice, world.instance.id, "here", "Oslo")
    charlies = add(world, world.charlie)
    theirs = a_check(world.charlie, world.charlies_instance.id, "here", "Oslo")

    plan = probe.plan()

    assert [check["id"] for check in plan["checks"]] == [mine["id"]]
    assert [check["id"] for check in charlies.plan()["checks"]] == [theirs["id"]]
    assert probe.plan(after=plan["version"])["checks"] is None
    assert world.alice.get(PROBES).json()["probes"][0]["state"] == "connected"


def test_what_changes_is_news_and_what_is_paused_is_not_asked(world: World) -> None:
    probe = add(world, world.alice)
    check = a_check(world.alice, world.instance.id, "Oslo")
    before = probe.plan()
    path = f"/api/instances/{world.instance.id}/health-checks/{check['id']}"

    world.alice.patch(path, json={"intervalSeconds": 30})
    changed = probe.plan(after=before["version"])
    world.alice.post(f"{path}/pause")
    paused = probe.plan(after=changed["version"])

    (planned,) = changed["checks"]
    assert planned["intervalSeconds"] == 30
    assert planned["digest"] != before["checks"][0]["digest"]
    assert paused["checks"] == []


def test_a_probe_of_one_organization_can_write_nothing_of_another(world: World) -> None:
    probe, charlies = add(world, world.alice), add(world, world.charlie)
    a_check(world.alice, world.instance.id, "Oslo")
    mine = probe.plan()["checks"][0]

    answer = charlies.report(result(mine, at=utc_now(), state="unhealthy"))

    assert answer == {"taken": 0}
    assert stored() == 0
    with reading() as session:
        (place,) = session.query(CheckPlace).filter_by(health_check_id=mine["id"])
        assert (str(place.state), place.last_result_at) == ("unknown", None)


def test_a_removed_probe_is_refused_at_once_and_its_work_is_done_here(world: World) -> None:
    probe = add(world, world.alice)
    check = a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]

    world.alice.delete(f"{PROBES}/{probe.id}")

    assert probe.ask("GET", "/api/probe/plan").status_code == 401
    late = {"results": [result(planned, at=utc_now())]}
    assert probe.ask("POST", "/api/probe/results", json=late).status_code == 401
    checks = world.alice.get(f"/api/instances/{world.instance.id}/health-checks").json()
    assert [c["locations"] for c in checks["healthChecks"] if c["id"] == check["id"]] == [["here"]]


def test_nobody_else_s_token_opens_the_ways_of_probes(world: World) -> None:
    for token in ("", "Bearer mst_probe_0000000000000000000000000000000000000", "Basic x"):
        headers = {"authorization": token}
        assert world.stranger.get("/api/probe/plan", headers=headers).status_code == 401
    assert world.alice.get("/api/probe/plan").status_code == 401


def test_what_a_probe_found_is_kept_with_its_place(world: World) -> None:
    probe = add(world, world.alice)
    check = a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]

    answer = probe.report(result(planned, at=utc_now(), state="unhealthy"), version="9.9")

    assert answer == {"taken": 1}
    path = f"/api/instances/{world.instance.id}/health-checks/{check['id']}/locations"
    (place,) = world.bob.get(path).json()["locations"]
    assert (place["location"], place["state"], place["reason"]) == (
        "Oslo",
        "unhealthy",
        "answered 503",
    )
    assert columns.query_value("SELECT any(location) FROM health_results") == "Oslo"
    assert world.alice.get(PROBES).json()["probes"][0]["version"] == "9.9"
    assert world.charlie.get(path).status_code == 403


def test_a_report_that_is_sent_again_counts_once(world: World) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]
    now = utc_now()
    minutes = [result(planned, at=now - timedelta(minutes=ago)) for ago in (5, 4, 3, 2, 1)]

    probe.report(*minutes[:3])
    probe.report(*minutes, again=True)
    probe.report(*minutes, again=True)

    assert stored() == 5


def test_figures_that_a_kill_lost_are_added_when_the_report_is_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]
    one = result(planned, at=utc_now())
    with monkeypatch.context() as killed:  # between the states and the figures
        killed.setattr(columns, "append_blocking", lambda *_, **__: None)
        probe.report(one)
    assert stored() == 0

    probe.report(one, again=True)

    assert stored() == 1


def test_an_answer_to_an_older_question_is_dropped(world: World) -> None:
    probe = add(world, world.alice)
    check = a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]
    path = f"/api/instances/{world.instance.id}/health-checks/{check['id']}"
    world.alice.patch(path, json={"url": "https://shop.example/other"})

    assert probe.report(result(planned, at=utc_now(), state="unhealthy")) == {"taken": 0}


@pytest.mark.parametrize("off_by", [timedelta(hours=1), timedelta(days=-8)])
def test_times_that_make_no_sense_are_dropped(world: World, off_by: timedelta) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]

    assert probe.report(result(planned, at=utc_now() + off_by)) == {"taken": 0}


def test_secrets_travel_only_where_nobody_reads_them(world: World) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "Oslo", url=f"https://ops:{SECRET}@shop.example/health")

    plain = probe.ask("GET", "http://mainstay.test/api/probe/plan")
    secure = probe.ask("GET", "https://mainstay.test/api/probe/plan")
    override_settings(HealthCheckSettings(health_checks_probes_plain=True))
    allowed = probe.ask("GET", "http://mainstay.test/api/probe/plan")

    assert SECRET not in plain.text
    assert (plain.json()["checks"], plain.json()["withheld"]) == ([], 1)
    assert SECRET in secure.text
    assert SECRET in allowed.text


@pytest.mark.parametrize(
    ("headers", "secure"), [({}, "yes"), ({"x-forwarded-for": "203.0.113.9"}, "no")]
)
def test_a_proxy_on_this_machine_is_not_the_probe_itself(
    world: World, headers: dict[str, str], secure: str
) -> None:
    """Without a word on whom to trust, what comes by a proxy may have come from anywhere."""
    _ = world  # its settings
    scope = {
        "type": "http",
        "scheme": "http",
        "path": "/api/probe/plan",
        "query_string": b"",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 5),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    assert is_secure(Request(scope)) is (secure == "yes")


@pytest.mark.parametrize("moment", [1e300, -1e300, 10**30])
def test_an_end_that_no_calendar_has_is_none(world: World, moment: float) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "Oslo")
    planned = probe.plan()["checks"][0]

    told = result(planned, at=utc_now()) | {"facts": {"certificate_ends_at": moment}}

    assert probe.report(told) == {"taken": 1}


def test_a_place_that_has_no_probe_is_refused(world: World) -> None:
    wanted = {"url": "https://shop.example/health", "locations": ["here", "Atlantis"]}
    path = f"/api/instances/{world.instance.id}/health-checks"

    answer = world.alice.post(path, json=wanted)

    assert answer.status_code == 400
    assert "Atlantis" in answer.json()["detail"]


def test_a_failure_is_confirmed_by_the_other_probe_at_once(world: World) -> None:
    oslo, porto = add(world, world.alice), add(world, world.alice, "Porto")
    check = a_check(world.alice, world.instance.id, "Oslo", "Porto")
    plans = {probe.id: probe.plan() for probe in (oslo, porto)}
    planned = plans[oslo.id]["checks"][0]
    for probe in (oslo, porto):
        probe.report(result(planned, at=utc_now() - timedelta(seconds=10)))

    oslo.report(result(planned, at=utc_now(), state="unhealthy"))
    wishes = porto.plan(after=plans[porto.id]["version"], wait=20)

    assert [wish["id"] for wish in wishes["askNow"]] == [check["id"]]
    assert wishes["checks"] is None
    assert oslo.plan(after=plans[oslo.id]["version"])["askNow"] == []


def test_how_much_a_probe_had_to_throw_away_is_shown(world: World) -> None:
    probe = add(world, world.alice)

    probe.report(dropped=12)

    assert world.alice.get(PROBES).json()["probes"][0]["droppedResults"] == 12


def test_a_probe_that_was_removed_while_it_was_silent_is_missed_no_more(world: World) -> None:
    probe = add(world, world.alice)
    a_check(world.alice, world.instance.id, "Oslo")
    probe.plan()
    with transaction() as session:
        probes.mark_silent(session, now=utc_now() + timedelta(minutes=5))
    assert world.alice.get(PROBES).json()["probes"][0]["state"] == "connected"

    assert world.alice.delete(f"{PROBES}/{probe.id}").status_code == 204
    assert world.alice.get(PROBES).json()["probes"] == []
