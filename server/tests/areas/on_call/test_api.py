from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas import alerts, on_call
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import run_waiting, said_events
from tests.world import World

SCHEDULES = "/api/on-call/schedules"
POLICIES = "/api/escalation-policies"
HOUR = timedelta(hours=1)


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(on_call.area, alerts.area)


def a_schedule(world: World, *people: str, **values: object) -> dict[str, Any]:
    layer = {"name": "Turns", "personIds": list(people), "startsAt": "2026-01-05T09:00"}
    body = {"name": "Primary", "layers": [layer] if people else [], **values}
    answer = world.bob.post(SCHEDULES, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def a_policy(world: World, *steps: dict[str, Any], **values: object) -> dict[str, Any]:
    body = {"name": "Wake somebody", "steps": list(steps), **values}
    answer = world.bob.post(POLICIES, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def an_alert(world: World) -> None:
    """Somebody opens an alert by hand; every reaction to it runs."""
    body = {"type": "instance_down", "severity": "critical", "title": "Down", "message": "All."}
    answer = world.bob.post(f"/api/instances/{world.instance.id}/alerts", json=body)
    assert answer.status_code in (200, 201), answer.text
    run_waiting(now=utc_now())


def test_a_schedule_is_made_shown_changed_and_removed(world: World) -> None:
    made = a_schedule(world, world.alice.person_id, timeZone="Europe/Berlin")
    assert made["onCall"]["name"] == "Alice"
    (listed,) = world.alice.get(SCHEDULES).json()["schedules"]
    assert listed["id"] == made["id"]
    path = f"{SCHEDULES}/{made['id']}"
    layers = [*made["layers"], made["layers"][0] | {"id": "", "personIds": [world.bob.person_id]}]
    changed = world.bob.patch(path, json={"layers": layers}).json()
    assert changed["onCall"]["name"] == "Bob"
    assert len({layer["id"] for layer in changed["layers"]}) == 2
    assert changed["timeZone"] == "Europe/Berlin"
    assert world.bob.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404


def test_somebody_takes_over_for_a_while_and_gives_back(world: World) -> None:
    made = a_schedule(world, world.alice.person_id)
    path, now = f"{SCHEDULES}/{made['id']}", utc_now()
    span = {"startsAt": rfc3339(now - HOUR), "endsAt": rfc3339(now + HOUR)}
    body = {"personId": world.bob.person_id, **span}
    override = world.bob.post(f"{path}/overrides", json=body).json()
    assert world.alice.get(path).json()["onCall"]["name"] == "Bob"
    assert world.alice.get(f"{path}/overrides").json()["overrides"] == [override]
    shifts = world.alice.get(f"{path}/shifts").json()["shifts"]
    assert [(one["name"], one["source"]) for one in shifts] == [
        ("Bob", "Override"),
        ("Alice", "Turns"),
    ]
    assert world.bob.delete(f"{path}/overrides/{override['id']}").status_code == 204
    assert world.alice.get(path).json()["onCall"]["name"] == "Alice"


def test_shifts_come_in_pages_with_their_gaps(world: World) -> None:
    made = a_schedule(world)
    path = f"{SCHEDULES}/{made['id']}"
    (gap,) = world.alice.get(f"{path}/shifts").json()["shifts"]
    assert (gap["personId"], gap["name"]) == (None, "")
    turns = made["layers"] or [
        {
            "name": "Turns",
            "personIds": [world.alice.person_id, world.bob.person_id],
            "startsAt": "2026-01-05T09:00",
            "rotates": "daily",
        }
    ]
    world.bob.patch(path, json={"layers": turns})
    seen, cursor = [], ""
    while True:
        query = {"from": "2026-03-01T09:00:00Z", "to": "2026-03-11T09:00:00Z", "limit": 3}
        page = world.alice.get(f"{path}/shifts", params={**query, "cursor": cursor}).json()
        seen += [one["name"] for one in page["shifts"]]
        cursor = page["nextCursor"]
        if not cursor:
            break
    assert seen == ["Bob", "Alice"] * 5


def test_a_calendar_is_pasted_and_its_address_is_never_shown_whole(world: World) -> None:
    made = a_schedule(world)
    path, now = f"{SCHEDULES}/{made['id']}", utc_now()
    text = (
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:1\nSUMMARY:bob@ships.example\n"
        f"DTSTART:{now - HOUR:%Y%m%dT%H%M%SZ}\nDTEND:{now + HOUR:%Y%m%dT%H%M%SZ}\n"
        "END:VEVENT\nEND:VCALENDAR\n"
    )
    pasted = world.bob.post(f"{path}/calendars", json={"name": "Mine", "text": text}).json()
    assert (pasted["shifts"], pasted["unmatched"], pasted["source"]) == (1, 0, "pasted")
    assert world.alice.get(path).json()["onCall"]["name"] == "Bob"
    url = "https://calendar.example.com/private-3f9c/team.ics?key=s3cret"
    fetched = world.bob.post(f"{path}/calendars", json={"name": "Team", "url": url})
    assert fetched.json()["source"] == "https://calendar.example.com/…"
    listed = world.alice.get(f"{path}/calendars").text
    assert "s3cret" not in listed
    assert world.bob.delete(f"{path}/calendars/{pasted['id']}").status_code == 204
    assert world.alice.get(path).json()["onCall"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "url": "https://a.example/x.ics", "text": "BEGIN:VCALENDAR"},
        {"name": "x", "url": "file:///etc/passwd"},
        {"name": "x", "url": "https://"},
        {"name": "x", "text": "BEGIN:NOTHING"},
    ],
)
def test_a_calendar_that_cannot_be_read_is_refused(world: World, body: dict[str, str]) -> None:
    made = a_schedule(world)
    answer = world.bob.post(f"{SCHEDULES}/{made['id']}/calendars", json=body)
    assert answer.status_code == 400


def test_shifts_are_read_by_a_private_address_until_it_is_made_anew(world: World) -> None:
    made = a_schedule(world, world.alice.person_id)
    url = world.bob.post(f"{SCHEDULES}/{made['id']}/feed").json()["url"]
    path = url.removeprefix("http://mainstay.test")
    answer = world.stranger.get(path)
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "Alice is on call: Primary" in answer.text.replace("\r\n ", "")
    assert world.stranger.get(path.replace(".ics", "x.ics")).status_code == 404
    world.bob.post(f"{SCHEDULES}/{made['id']}/feed")
    assert world.stranger.get(path).status_code == 404
    mine = world.alice.post("/api/on-call/feed").json()["url"]
    assert "Alice" in world.stranger.get(mine.removeprefix("http://mainstay.test")).text


def test_a_policy_is_made_changed_and_removed(world: World) -> None:
    step = {"kind": "person", "personId": world.alice.person_id, "waitMinutes": 7}
    made = a_policy(world, step, instanceId=world.instance.id)
    assert made["projectId"] == world.instance.project_id
    assert made["steps"][0]["waitMinutes"] == 7
    path = f"{POLICIES}/{made['id']}"
    assert world.bob.patch(path, json={"repeat": 2}).json()["repeat"] == 2
    assert world.alice.get(POLICIES).json()["policies"][0]["repeat"] == 2
    assert world.bob.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404


def test_steps_and_reaches_of_others_are_refused(world: World) -> None:
    theirs = world.charlies_instance
    mine = {"kind": "action"}
    wrong: tuple[dict[str, Any], ...] = (
        {"steps": [{"kind": "person", "personId": world.charlie.person_id}]},
        {"steps": [{"kind": "schedule", "scheduleId": "nothing"}]},
        {"steps": [{"kind": "person"}]},
        {"steps": []},
        {"steps": [mine], "instanceId": theirs.id},
        {"steps": [mine], "projectId": theirs.project_id},
        {"steps": [mine], "repeat": 11},
        {"steps": [{"kind": "action", "waitMinutes": 1441}]},
    )
    for values in wrong:
        answer = world.bob.post(POLICIES, json={"name": "x", **values})
        assert answer.status_code in (400, 422), values


def test_an_alert_is_escalated_and_acknowledged_on_both_sides(world: World) -> None:
    a_policy(world, {"kind": "person", "personId": world.alice.person_id})
    an_alert(world)
    (found,) = world.bob.get("/api/escalations?status=open").json()["escalations"]
    assert (found["state"], found["step"]) == ("running", 2)
    path = f"/api/escalations/{found['id']}"
    taken = world.bob.post(f"{path}/acknowledge").json()
    assert (taken["state"], taken["acknowledgedBy"]) == ("acknowledged", "Bob")
    assert [line["text"] for line in taken["log"]] == [
        "Step 1: told Alice.",
        "Bob has acknowledged it by the API.",
    ]
    assert world.alice.post(f"{path}/acknowledge").status_code == 409
    run_waiting(now=utc_now())
    (alert,) = world.bob.get(f"/api/instances/{world.instance.id}/alerts").json()["alerts"]
    assert alert["acknowledgedBy"] == "Bob"
    with reading() as session:
        said = [type(event).__name__ for _, event in said_events(session)]
    assert said.count("EscalationAcknowledged") == said.count("AlertAcknowledged") == 1


def test_an_alert_that_is_acknowledged_on_its_own_page_wakes_nobody_else(world: World) -> None:
    a_policy(world, {"kind": "person", "personId": world.alice.person_id})
    an_alert(world)
    alerts_path = f"/api/instances/{world.instance.id}/alerts"
    (alert,) = world.bob.get(alerts_path).json()["alerts"]
    body = {"alertId": alert["id"], "action": "acknowledge"}
    assert world.bob.post(alerts_path, json=body).is_success
    run_waiting(now=utc_now())
    (found,) = world.bob.get("/api/escalations").json()["escalations"]
    assert (found["state"], found["acknowledgedBy"]) == ("acknowledged", "Bob")


def test_charlie_sees_and_changes_nothing_of_it(world: World) -> None:
    schedule = a_schedule(world, world.alice.person_id)
    policy = a_policy(world, {"kind": "person", "personId": world.alice.person_id})
    an_alert(world)
    (escalation,) = world.bob.get("/api/escalations").json()["escalations"]
    for name, listed in (
        (SCHEDULES, "schedules"),
        (POLICIES, "policies"),
        ("/api/escalations", "escalations"),
    ):
        assert world.charlie.get(name).json()[listed] == []
    one = f"{SCHEDULES}/{schedule['id']}"
    for path in (
        one,
        f"{one}/shifts",
        f"{one}/overrides",
        f"{one}/calendars",
        f"{POLICIES}/{policy['id']}",
        f"/api/escalations/{escalation['id']}",
    ):
        assert world.charlie.get(path).status_code == 404, path
        assert world.stranger.get(path).status_code == 401, path
    for path in (f"{one}/feed", f"/api/escalations/{escalation['id']}/acknowledge"):
        assert world.charlie.post(path).status_code == 404, path
    assert world.charlie.patch(one, json={"name": "Mine"}).status_code == 404
    assert world.charlie.delete(f"{POLICIES}/{policy['id']}").status_code == 404


def test_there_are_limits(world: World) -> None:
    people = [world.alice.person_id] * 51
    answer = world.bob.post(
        SCHEDULES,
        json={
            "name": "x",
            "layers": [{"name": "x", "personIds": people, "startsAt": "2026-01-05T09:00"}],
        },
    )
    assert answer.status_code in (400, 422)
    made = a_schedule(world)
    path = f"{SCHEDULES}/{made['id']}/shifts"
    assert (
        world.bob.get(f"{path}?from=2026-01-01T00:00:00Z&to=2028-01-01T00:00:00Z").status_code
        == 400
    )
    assert world.bob.get(f"{path}?from=0001-01-01T00:00:00Z").status_code == 400
    with transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM on_call_schedules")
    for number in range(100):
        a_schedule(world, name=f"Schedule {number}")
    assert world.bob.post(SCHEDULES, json={"name": "One more"}).status_code == 409


def test_a_calendar_is_read_so_often_and_no_address_is_guessed(world: World) -> None:
    made = a_schedule(world, world.alice.person_id)
    url = world.bob.post(f"{SCHEDULES}/{made['id']}/feed").json()["url"]
    path = url.removeprefix("http://mainstay.test")
    mine = world.alice.post("/api/on-call/feed").json()["url"].removeprefix("http://mainstay.test")

    answers = [world.stranger.get(path) for _ in range(70)]
    assert [each.status_code for each in answers[:60]] == [200] * 60
    refused = next(each for each in answers if each.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert world.stranger.get(mine).status_code == 200, "one calendar takes nothing from another"

    guesses = [world.stranger.get(path.replace(".ics", "x.ics")) for _ in range(40)]
    assert [each.status_code for each in guesses[:30]] == [404] * 30
    assert 429 in [each.status_code for each in guesses[30:]]
    assert world.stranger.get(mine).status_code == 200, "whoever has an address may read"
