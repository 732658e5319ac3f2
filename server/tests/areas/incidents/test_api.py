"""Incidents over HTTP, with the alerts and status pages of the real areas beside them."""

from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.alerts import area as alerts
from mainstay_server.areas.incidents import area
from mainstay_server.areas.status_pages import area as status_pages
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import run_waiting
from tests.world import Browser, World

AN_ALERT = {"type": "instance_down", "severity": "critical", "title": "Shop is down"}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, alerts, status_pages)


def base(world: World) -> str:
    return f"/api/projects/{world.project}/incidents"


def made(world: World, **body: object) -> dict[str, Any]:
    answer = world.bob.post(base(world), json={"title": "Payments time out", **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def alert(world: World, **body: object) -> str:
    """An alert that Alice opens by hand; returns its id once everybody has heard."""
    path = f"/api/instances/{world.instance.id}/alerts"
    answer = world.alice.post(path, json={**AN_ALERT, "message": "", **body})
    assert answer.status_code == 201, answer.text
    run_waiting(now=utc_now())
    return str(answer.json()["id"])


def only(world: World) -> dict[str, Any]:
    (found,) = world.bob.get(base(world)).json()["incidents"]
    one: dict[str, Any] = world.bob.get(f"{base(world)}/{found['id']}").json()
    return one


def timeline(world: World, incident_id: str) -> list[str]:
    answer = world.bob.get(f"{base(world)}/{incident_id}/timeline").json()
    return [entry["title"] for entry in answer["entries"]][::-1]


def test_an_incident_is_opened_changed_resolved_and_opened_again(world: World) -> None:
    one = made(world, severity="critical", instanceId=world.instance.id)
    assert (one["number"], one["status"], one["automatic"]) == (1, "investigating", False)
    path = f"{base(world)}/{one['id']}"
    for status in ("identified", "monitoring", "resolved", "investigating"):
        changed = world.bob.patch(path, json={"status": status, "message": f"now {status}"}).json()
        assert changed["status"] == status
        assert (changed["resolvedAt"] is not None) == (status == "resolved")
    assert world.bob.patch(path, json={"title": "Paying fails"}).json()["title"] == "Paying fails"
    assert world.alice.get(f"{base(world)}/1").json()["id"] == one["id"]
    assert timeline(world, one["id"]) == [
        "Opened",
        "Identified",
        "Monitoring",
        "Resolved",
        "Opened again",
        "Now called: Paying fails",
    ]


def test_an_alert_opens_one_and_acknowledging_it_takes_it_up(world: World) -> None:
    alert_id = alert(world)
    one = only(world)
    assert (one["title"], one["automatic"], one["acknowledgedAt"]) == ("Shop is down", True, None)
    assert [each["alertId"] for each in one["alerts"]] == [alert_id]
    path = f"/api/instances/{world.instance.id}/alerts"
    world.bob.post(path, json={"alertId": alert_id, "action": "acknowledge"})
    run_waiting(now=utc_now())
    taken = only(world)
    assert taken["acknowledgedAfterSeconds"] is not None
    assert "Bob has taken it up" in timeline(world, one["id"])
    world.bob.post(path, json={"alertId": alert_id, "action": "resolve"})
    run_waiting(now=utc_now())
    assert only(world)["status"] == "monitoring"


def test_taking_an_incident_up_acknowledges_its_alerts(world: World) -> None:
    alert_id = alert(world)
    one = only(world)
    assert world.bob.post(f"{base(world)}/{one['id']}/acknowledge").json()["acknowledgedAt"]
    run_waiting(now=utc_now())
    (seen,) = world.bob.get(f"/api/instances/{world.instance.id}/alerts").json()["alerts"]
    assert seen["id"] == alert_id
    assert seen["acknowledgedBy"] == "Bob"
    assert timeline(world, one["id"]) == [
        "Opened by an alert",
        "Alert: Shop is down",
        "Bob has taken it up",
    ]


def test_alerts_are_joined_by_hand_and_move_from_one_to_another(world: World) -> None:
    alert_id = alert(world, severity="info")
    assert world.bob.get(base(world)).json()["incidents"] == []
    one, other = made(world), made(world, title="Other")
    for incident in (one, other):
        path = f"{base(world)}/{incident['id']}/alerts"
        joined = world.bob.post(path, json={"alertId": alert_id}).json()
        assert [each["byHand"] for each in joined["alerts"]] == [True]
    assert world.bob.get(f"{base(world)}/{one['id']}").json()["alerts"] == []
    path = f"{base(world)}/{other['id']}/alerts/{alert_id}"
    assert world.bob.delete(path).status_code == 204
    assert world.bob.delete(path).status_code == 404
    assert timeline(world, other["id"])[-1] == "Taken out: Shop is down"
    unknown = world.bob.post(f"{base(world)}/1/alerts", json={"alertId": "nothing"})
    assert unknown.status_code == 404


def test_roles_are_given_and_taken(world: World) -> None:
    one = made(world)
    roles = f"{base(world)}/{one['id']}/roles"
    given = world.bob.put(f"{roles}/commander", json={"personId": world.alice.person_id})
    assert [(p["name"], p["role"]) for p in given.json()["people"]] == [("Alice", "commander")]
    (listed,) = world.bob.get(base(world)).json()["incidents"]
    assert listed["people"] == given.json()["people"]
    charlie = world.bob.put(f"{roles}/scribe", json={"personId": world.charlie.person_id})
    assert charlie.status_code == 404
    assert "no member" in charlie.json()["detail"]
    assert world.bob.put(f"{roles}/captain", json={"personId": "x"}).status_code == 400
    path = f"{roles}/commander/{world.alice.person_id}"
    assert world.bob.delete(path).status_code == 204
    assert world.bob.delete(path).status_code == 404


def test_notes_stand_in_the_timeline_with_who_wrote_them(world: World) -> None:
    one = made(world)
    notes = f"{base(world)}/{one['id']}/notes"
    note = world.bob.post(notes, json={"body": "load **falls**"}).json()
    assert (note["kind"], note["actor"], note["body"]) == ("note", "Bob", "load **falls**")
    page = world.bob.get(f"{base(world)}/{one['id']}/timeline?limit=1").json()
    assert page["entries"] == [note]
    rest = world.bob.get(f"{base(world)}/{one['id']}/timeline?cursor={page['nextCursor']}").json()
    assert [entry["title"] for entry in rest["entries"]] == ["Opened"]
    assert world.bob.delete(f"{notes}/{note['id']}").status_code == 204
    assert world.bob.delete(f"{notes}/{rest['entries'][0]['id']}").status_code == 404


def test_an_incident_is_told_on_a_status_page_and_goes_on_there(world: World) -> None:
    page = world.alice.post("/api/status-pages", json={"name": "Shop", "slug": "shop"}).json()
    components = f"/api/status-pages/{page['id']}/components"
    component = world.alice.post(components, json={"name": "Checkout"}).json()
    one = made(world, severity="critical")
    path = f"{base(world)}/{one['id']}"
    body = {"pageId": page["id"], "body": "We look.", "componentIds": [component["id"]]}
    told = world.bob.post(f"{path}/reports", json=body).json()
    world.bob.patch(path, json={"status": "resolved"})
    world.bob.post(f"{path}/reports", json={"pageId": page["id"], "body": "All is well."})
    (report,) = world.bob.get(f"/api/status-pages/{page['id']}/reports").json()["reports"]
    assert told["reports"] == [{"pageId": page["id"], "reportId": report["id"]}]
    assert (report["title"], report["impact"]) == ("Payments time out", "critical")
    assert report["status"] == "resolved"
    assert report["affected"] == {component["id"]: "major_outage"}
    assert sorted(each["body"] for each in report["updates"]) == ["All is well.", "We look."]
    assert "Told on Shop" in timeline(world, one["id"])


def test_a_report_that_was_taken_off_the_page_is_opened_anew(world: World) -> None:
    page = world.alice.post("/api/status-pages", json={"name": "Shop", "slug": "shop"}).json()
    path = f"{base(world)}/{made(world)['id']}/reports"
    first = world.bob.post(path, json={"pageId": page["id"]}).json()["reports"][0]
    reports = f"/api/status-pages/{page['id']}/reports"
    assert world.alice.delete(f"{reports}/{first['reportId']}").status_code == 204
    second = world.bob.post(path, json={"pageId": page["id"]}).json()["reports"][0]
    assert second["reportId"] != first["reportId"]


def test_nobody_tells_on_a_page_of_others(world: World) -> None:
    page = world.charlie.post("/api/status-pages", json={"name": "Spies", "slug": "spies"}).json()
    path = f"{base(world)}/{made(world)['id']}/reports"
    assert world.bob.post(path, json={"pageId": page["id"]}).status_code == 404
    ours = world.alice.post("/api/status-pages", json={"name": "Shop", "slug": "shop"}).json()
    strange = world.bob.post(path, json={"pageId": ours["id"], "componentIds": ["x"]})
    assert strange.status_code == 400


def test_a_postmortem_is_drafted_written_and_exported(world: World) -> None:
    path = f"{base(world)}/{made(world)['id']}/postmortem"
    draft = world.bob.get(path).json()
    assert (draft["version"], draft["changedAt"]) == (0, None)
    assert draft["body"].startswith("# Payments time out")
    saved = world.bob.put(path, json={"body": "# Learnt", "version": 0}).json()
    assert (saved["version"], saved["changedBy"]) == (1, "Bob")
    late = world.alice.put(path, json={"body": "mine", "version": 0})
    assert (late.status_code, late.json()["code"]) == (409, "changed-meanwhile")
    export = world.alice.get(f"{path}/export")
    assert export.text == "# Learnt"
    assert export.headers["content-type"] == "text/markdown; charset=utf-8"
    assert 'filename="inspections-incident-1.md"' in export.headers["content-disposition"]
    assert only(world)["hasPostmortem"]


def test_figures_are_of_a_range(world: World) -> None:
    one = made(world)
    world.bob.patch(f"{base(world)}/{one['id']}", json={"status": "resolved"})
    path = f"/api/projects/{world.project}/incident-figures"
    found = world.bob.get(path).json()
    assert (found["opened"], found["resolved"], found["mttaSeconds"]) == (1, 1, None)
    assert found["mttrSeconds"] is not None
    past = "from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z"
    assert world.bob.get(f"{path}?{past}").json()["opened"] == 0
    for bad in (
        "from=2026-01-01T00:00:00",
        "from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z",
        "from=1970-01-01T00:00:00Z&to=2025-01-01T00:00:00Z",
        "to=0001-01-01T00:00:00Z",
        "from=9999-12-31T00:00:00Z",
    ):
        assert world.bob.get(f"{path}?{bad}").status_code == 400, bad


def test_settings_are_read_and_chosen(world: World) -> None:
    path = f"/api/projects/{world.project}/incident-settings"
    assert world.bob.get(path).json()["opensFrom"] == "critical"
    chosen = world.bob.patch(path, json={"opensFrom": "never", "joinMinutes": 5}).json()
    assert (chosen["opensFrom"], chosen["joinMinutes"]) == ("never", 5)
    alert(world)
    assert world.bob.get(base(world)).json()["incidents"] == []
    for bad in ({"opensFrom": "odd"}, {"joinMinutes": -1}, {"typo": 1}):
        assert world.bob.patch(path, json=bad).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "\n"},
        {"title": "x" * 201},
        {"title": "x", "severity": "warning"},
        {"title": "x", "instanceId": "not ours"},
        {"title": "x", "summary": "x" * 2001},
        {"title": "x", "typo": 1},
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    world: World, body: dict[str, object]
) -> None:
    answer = world.alice.post(base(world), json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


def test_lists_are_searched_filtered_and_paged(world: World) -> None:
    for title in ("one", "two", "three"):
        made(world, title=title)
    world.bob.patch(f"{base(world)}/1", json={"status": "resolved"})

    def found(query: str) -> list[str]:
        answer = world.bob.get(f"{base(world)}?{query}")
        assert answer.status_code == 200, answer.text
        return [each["title"] for each in answer.json()["incidents"]]

    assert found("status=open") == ["three", "two"]
    assert found("status=resolved") == ["one"]
    assert found("q=TW") == ["two"]
    first = world.bob.get(f"{base(world)}?limit=2").json()
    assert found(f"limit=2&cursor={first['nextCursor']}") == ["one"]
    for bad in ("status=odd", "severity=warning", "limit=0", "limit=201", "cursor=x"):
        assert world.bob.get(f"{base(world)}?{bad}").status_code == 400, bad


def test_only_an_administrator_removes_one(world: World) -> None:
    path = f"{base(world)}/{made(world)['id']}"
    assert world.bob.delete(path).status_code == 403
    assert world.alice.delete(path).status_code == 204
    assert world.alice.get(path).status_code == 404


def test_nobody_sees_or_touches_what_is_of_others(world: World) -> None:
    one = made(world)
    path = f"{base(world)}/{one['id']}"
    calls: list[tuple[str, str, dict[str, object] | None]] = [
        ("GET", base(world), None),
        ("POST", base(world), {"title": "x"}),
        ("GET", path, None),
        ("PATCH", path, {"status": "resolved"}),
        ("POST", f"{path}/acknowledge", None),
        ("GET", f"{path}/timeline", None),
        ("POST", f"{path}/notes", {"body": "x"}),
        ("POST", f"{path}/alerts", {"alertId": "x"}),
        ("POST", f"{path}/reports", {"pageId": "x"}),
        ("GET", f"{path}/postmortem", None),
        ("PUT", f"{path}/postmortem", {"body": "x", "version": 0}),
        ("GET", f"{path}/postmortem/export", None),
        ("PUT", f"{path}/roles/scribe", {"personId": world.charlie.person_id}),
        ("GET", f"/api/projects/{world.project}/incident-figures", None),
        ("GET", f"/api/projects/{world.project}/incident-settings", None),
        ("DELETE", path, None),
    ]
    for method, each, body in calls:
        options: dict[str, Any] = {} if body is None else {"json": body}
        assert world.charlie.request(method, each, **options).status_code == 404, each
        assert world.stranger.request(method, each, **options).status_code == 401, each
    theirs = f"/api/projects/{world.charlies_instance.project_slug}/incidents/{one['id']}"
    assert world.charlie.get(theirs).status_code == 404
    assert world.charlie.patch(theirs, json={"status": "resolved"}).status_code == 404
    assert only(world)["status"] == "investigating"


def test_an_alert_of_others_cannot_be_joined(world: World) -> None:
    path = f"/api/instances/{world.charlies_instance.id}/alerts"
    theirs = world.charlie.post(path, json={**AN_ALERT, "message": ""}).json()["id"]
    answer = world.bob.post(f"{base(world)}/{made(world)['id']}/alerts", json={"alertId": theirs})
    assert answer.status_code == 404


def read_everything(browser: Browser, world: World, incident_id: str) -> set[int]:
    path = f"{base(world)}/{incident_id}"
    pages = (base(world), path, f"{path}/timeline", f"{path}/postmortem")
    return {browser.get(page).status_code for page in pages}


def test_everybody_of_the_organization_reads(world: World) -> None:
    one = made(world)
    assert read_everything(world.alice, world, one["id"]) == {200}
    assert read_everything(world.bob, world, one["id"]) == {200}
