import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from mainstay_server.areas.health_checks import area as health_checks
from mainstay_server.areas.maintenance import area
from mainstay_server.areas.maintenance.pages.forms import minutes_of, words_of
from mainstay_server.areas.maintenance.pages.plans import weeks_of
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from sqlalchemy.orm import Session
from tests.world import World, a_project

from .worlds import DAY, HOUR, NOON, planned, windows

TOMORROW = utc_now() + timedelta(days=1)
FORM = {
    "name": "Patch night",
    "starts_at": f"{TOMORROW:%Y-%m-%dT02:00}",
    "time_zone": "Europe/Berlin",
    "duration": "2h",
    "comes": "daily",
    "announce_minutes": "60",
    "tags": "database, cache",
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, health_checks)


def base(world: World) -> str:
    return f"/dashboard/projects/{world.project}/maintenance"


def only_plan(world: World) -> dict[str, object]:
    (found,) = world.alice.get(f"/api/projects/{world.project}/maintenance").json()["maintenance"]
    assert isinstance(found, dict)
    return found


def test_an_empty_page_tells_how_to_begin_one(world: World) -> None:
    page = world.bob.get(base(world)).text
    assert "No maintenance is planned" in page
    assert f"mainstay maintenance start --project {world.project} --for 30m" in page


def test_a_member_plans_by_the_form_and_sees_it_in_the_calendar(world: World) -> None:
    assert world.bob.get(f"{base(world)}/new").status_code == 200
    answer = world.bob.post(f"{base(world)}/new", data=FORM)
    assert answer.status_code == 303
    made = only_plan(world)
    assert (made["schedule"], made["durationMinutes"]) == ("FREQ=DAILY", 120)
    assert made["tags"] == ["database", "cache"]
    page = world.bob.get(base(world)).text
    assert page.count('class="maintenance-mark"') > 50
    assert "tagged database, tagged cache" in page
    one = world.bob.get(f"{base(world)}/{made['id']}").text
    assert 'value="2h"' in one
    assert 'value="daily" selected' in one


def test_the_form_shows_what_it_would_mean_while_it_is_filled_in(world: World) -> None:
    check = {"url": "http://127.0.0.1:1/health", "name": "shop"}
    made = world.alice.post(f"/api/instances/{world.instance.id}/health-checks", json=check)
    assert made.status_code == 201
    first_sunday = FORM | {"comes": "monthly", "starts_at": "2026-12-06T02:00", "tags": ""}
    shown = world.bob.get(f"{base(world)}/preview", params=first_sunday).text
    assert len(re.findall(r"Sun \d+ \w+ \d{4}, 02:00 to", shown)) == 10
    assert "Covers 1 watched subject" in shown
    assert "covers no health check" in world.bob.get(f"{base(world)}/preview", params=FORM).text
    broken = FORM | {"comes": "own", "schedule": "* * * * *"}
    assert "more often" in world.bob.get(f"{base(world)}/preview", params=broken).text
    assert "when it begins" in world.bob.get(f"{base(world)}/preview").text


def test_what_was_sent_and_refused_stays_in_the_form(world: World) -> None:
    page = world.bob.post(f"{base(world)}/new", data=FORM | {"duration": "long"}).text
    assert "write 30m, 2h or 1d 6h" in page
    assert 'value="Patch night"' in page
    assert not world.bob.get(f"/api/projects/{world.project}/maintenance").json()["maintenance"]


def test_it_is_changed_and_removed_by_its_page(world: World) -> None:
    world.bob.post(f"{base(world)}/new", data=FORM)
    path = f"{base(world)}/{only_plan(world)['id']}"
    changed = FORM | {"duration": "90m", "comes": "own", "schedule": "30 3 * * MON"}
    assert world.bob.post(f"{path}/change", data=changed).status_code == 303
    assert only_plan(world)["durationMinutes"] == 90
    assert only_plan(world)["schedule"] == "30 3 * * MON"
    refused = world.bob.post(f"{path}/change", data=changed | {"time_zone": "Mars"}).text
    assert "no time zone" in refused
    assert world.bob.post(f"{path}/remove").status_code == 303
    assert world.bob.get(path).status_code == 404


def test_windows_are_begun_extended_ended_and_cancelled_by_buttons(world: World) -> None:
    world.bob.post(f"{base(world)}/new", data=FORM)
    listed = f"/api/projects/{world.project}/maintenance-windows"
    first, second, *_rest = world.bob.get(listed).json()["windows"]
    act = f"{base(world)}/windows/{first['id']}"
    assert world.bob.post(f"{act}/start").status_code == 303
    assert "In progress" in world.bob.get(base(world)).text
    assert world.bob.post(f"{act}/extend", data={"minutes": "30"}).status_code == 303
    assert world.bob.post(f"{act}/end").status_code == 303
    assert world.bob.post(f"{base(world)}/windows/{second['id']}/cancel").status_code == 303
    page = world.bob.get(base(world)).text
    assert "In progress" not in page
    assert 'aria-label="Windows that are over"' in page
    left = world.bob.get(listed).json()["windows"]
    assert {first["id"], second["id"]}.isdisjoint(each["id"] for each in left)


def test_charlie_sees_nothing_and_a_name_is_shown_as_text(world: World) -> None:
    world.bob.post(f"{base(world)}/new", data=FORM | {"name": "<b>bold</b>"})
    assert "<b>bold" not in world.bob.get(base(world)).text
    assert world.charlie.get(base(world)).status_code == 404
    assert world.charlie.get(f"{base(world)}/preview", params=FORM).status_code == 404


@pytest.mark.parametrize(
    ("text", "minutes"), [("30m", 30), ("2h", 120), ("1d 6h", 1800), ("1h30m", 90), (" 2 H ", 120)]
)
def test_lengths_are_read_as_people_write_them(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes
    assert minutes_of(words_of(minutes)) == minutes


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "2h!", "-2h", "1.5h", "9" * 40 + "m"])
def test_a_length_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        minutes_of(text)


def test_a_window_over_midnight_stands_on_both_days(session: Session) -> None:
    instance = a_project(session, now=NOON)
    late = planned(session, instance, starts_at=NOON + 11 * HOUR, duration_minutes=120)
    until = planned(session, instance, starts_at=NOON + DAY, duration_minutes=720)
    found = [*windows(session, late), *windows(session, until)]
    days = dict(day for week in weeks_of(found, today=NOON.date()) for day in week)
    assert [day for day, held in days.items() if held] == [date(2026, 11, 26), date(2026, 11, 27)]
    assert len(days[date(2026, 11, 27)]) == 2
    assert all(len(week) == 7 for week in weeks_of([], today=NOON.date()))
