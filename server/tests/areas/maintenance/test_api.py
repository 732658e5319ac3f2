from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mainstay_server.areas.maintenance import area
from mainstay_server.contracts.maintenance import (
    MaintenanceBegan,
    MaintenanceEnded,
    MaintenancePlanned,
    MaintenanceWindowChanged,
)
from mainstay_server.kernel.clock import rfc3339, utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import said_events
from tests.world import World

HOUR = timedelta(hours=1)
MONTHLY = {
    "name": "Patch night",
    "schedule": "0 2 * * SUN#1",
    "timeZone": "Europe/Berlin",
    "durationMinutes": 120,
    "tags": ["database"],
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area)


def base(world: World) -> str:
    return f"/api/projects/{world.project}/maintenance"


def planned(world: World, **body: object) -> dict[str, Any]:
    answer = world.bob.post(base(world), json={"name": "Deploy", **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_maintenance_is_planned_listed_changed_and_removed(world: World) -> None:
    made = planned(world, **MONTHLY)
    assert made["nextWindow"]["status"] == "upcoming"
    assert made["nextWindow"]["startsAt"].endswith(("T01:00:00.000Z", "T00:00:00.000Z"))
    assert (made["schedule"], made["timeZone"]) == ("0 2 * * SUN#1", "Europe/Berlin")
    (listed,) = world.alice.get(base(world)).json()["maintenance"]
    assert listed == made

    path = f"{base(world)}/{made['id']}"
    changed = world.bob.patch(path, json={"durationMinutes": 90, "tags": []}).json()
    assert (changed["durationMinutes"], changed["tags"]) == (90, [])
    assert changed["schedule"] == made["schedule"]
    assert world.bob.delete(path).status_code == 204
    assert world.bob.get(path).status_code == 404
    assert world.alice.get(base(world)).json()["maintenance"] == []


def test_it_begins_now_without_a_start_and_ends_when_asked(world: World) -> None:
    window = planned(world, durationMinutes=30)["nextWindow"]
    assert window["status"] == "active"
    windows = f"/api/projects/{world.project}/maintenance-windows"
    (active,) = world.bob.get(f"{windows}?status=active").json()["windows"]
    assert active == window
    later = rfc3339(utc_now() + 2 * HOUR)
    longer = world.bob.patch(f"{windows}/{window['id']}", json={"endsAt": later}).json()
    assert longer["endsAt"] == later
    ended = world.bob.post(f"{windows}/{window['id']}/end").json()
    assert ended["status"] == "ended"
    assert world.bob.post(f"{windows}/{window['id']}/end").status_code == 409
    with reading() as session:
        said = [type(event) for _, event in said_events(session)]
    assert said[:2] == [MaintenancePlanned, MaintenanceBegan]
    assert said[-2:] == [MaintenanceEnded, MaintenanceWindowChanged]


def test_windows_come_in_pages_and_can_be_cancelled_and_begun(world: World) -> None:
    starts = (utc_now() + 48 * HOUR).replace(microsecond=0)
    planned(world, schedule="FREQ=DAILY", startsAt=rfc3339(starts), durationMinutes=60)
    windows = f"/api/projects/{world.project}/maintenance-windows"
    days = f"from={rfc3339(starts)}&to={rfc3339(starts + 58 * 24 * HOUR)}"
    first = world.bob.get(f"{windows}?{days}&limit=3").json()
    rest = world.bob.get(f"{windows}?{days}&limit=200&cursor={first['nextCursor']}").json()
    assert len(first["windows"]) == 3
    assert len(rest["windows"]) == 58 - 3
    ids = [each["id"] for each in [*first["windows"], *rest["windows"]]]
    assert len(set(ids)) == len(ids)

    assert world.bob.post(f"{windows}/{ids[0]}/cancel").status_code == 204
    assert world.bob.post(f"{windows}/{ids[0]}/start").status_code == 404
    begun = world.bob.post(f"{windows}/{ids[1]}/start").json()
    assert begun["status"] == "active"


def test_a_preview_tells_the_next_ten_in_zone_and_utc_and_keeps_nothing(world: World) -> None:
    body = MONTHLY | {"startsAt": "2026-03-01T02:30:00", "schedule": "FREQ=MONTHLY;BYDAY=-1SU"}
    found = world.bob.post(f"/api/projects/{world.project}/maintenance-preview", json=body).json()
    assert len(found["windows"]) == 10
    for each in found["windows"]:
        local = datetime.fromisoformat(each["localStart"])
        assert local.astimezone(UTC) == datetime.fromisoformat(each["startsAt"])
        assert local.hour in (2, 3)
    assert world.bob.get(base(world)).json()["maintenance"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x", "durationMinutes": 0},
        {"name": "x", "schedule": "* * * * *"},
        {"name": "x", "timeZone": "Mars/Olympus"},
        {"name": "x", "instanceIds": ["not ours"]},
        {"name": "x", "startsAt": "2020-01-01T00:00:00Z"},
        {"name": "x", "startsAt": "9999-12-31T23:59:59"},
        {"name": "x", "startsAt": "0001-01-01T00:00:00", "timeZone": "Asia/Tokyo"},
        {"name": "x", "typo": 1},
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    world: World, body: dict[str, object]
) -> None:
    for path in (base(world), f"/api/projects/{world.project}/maintenance-preview"):
        answer = world.alice.post(path, json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-01-01T00:00:00",
        "from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2028-01-01T00:00:00Z",
        "from=9999-12-31T00:00:00Z&to=9999-01-01T00:00:00Z",
        "status=odd",
    ],
)
def test_a_strange_range_is_refused(world: World, query: str) -> None:
    answer = world.bob.get(f"/api/projects/{world.project}/maintenance-windows?{query}")
    assert answer.status_code == 400


def test_a_strange_cursor_is_refused(world: World) -> None:
    planned(world)
    for path in ("maintenance", "maintenance-windows"):
        answer = world.bob.get(f"/api/projects/{world.project}/{path}?cursor=odd")
        assert answer.status_code == 400


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_at_the_ends_of_the_calendar_there_is_no_window(world: World, day: str) -> None:
    planned(world, schedule="FREQ=DAILY")
    windows = f"/api/projects/{world.project}/maintenance-windows"
    assert world.bob.get(f"{windows}?from={day}T00:00:00Z").json()["windows"] == []


def test_charlie_neither_sees_nor_touches_it(world: World) -> None:
    made = planned(world)
    window = made["nextWindow"]["id"]
    theirs = f"/api/projects/{world.charlies_instance.project_slug}"
    assert world.charlie.get(base(world)).status_code == 404
    assert world.charlie.get(f"{theirs}/maintenance/{made['id']}").status_code == 404
    assert world.charlie.delete(f"{theirs}/maintenance/{made['id']}").status_code == 404
    assert world.charlie.post(f"{theirs}/maintenance-windows/{window}/end").status_code == 404
    borrowed = {"name": "x", "instanceIds": [world.instance.id]}
    assert world.charlie.post(f"{theirs}/maintenance", json=borrowed).status_code == 400
