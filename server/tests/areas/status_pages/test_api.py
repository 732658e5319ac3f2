"""Administering status pages over HTTP: who may, what is refused, and what is shown then."""

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from zipfile import ZipFile

import pytest
from mainstay_server.areas import status_pages
from mainstay_server.areas.status_pages.service import keeping
from mainstay_server.kernel.clock import rfc3339, utc_now
from tests.areas.status_pages.worlds import made_component, made_page, made_report
from tests.world import World

PAGES = "/api/status-pages"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(status_pages.area)


def test_a_new_page_is_a_draft_that_nobody_sees(world: World) -> None:
    page = world.bob.post(PAGES, json={"name": "Acme", "slug": "acme"}).json()

    assert page["published"] is False
    assert world.stranger.get("/status/acme").status_code == 404
    assert world.alice.get("/status/acme").status_code == 404


def test_what_is_changed_is_seen_at_once(world: World) -> None:
    page = made_page(world)
    component = made_component(world, page)
    assert "Operational" in world.stranger.get("/status/acme").text

    world.bob.patch(
        f"{PAGES}/{page['id']}/components/{component['id']}", json={"status": "major_outage"}
    )
    shown = eventually_page(world)

    assert "Major outage" in shown


def eventually_page(world: World) -> str:
    """The page after the two seconds for which it is served without asking."""
    keeping.refresh(now=utc_now())
    return world.stranger.get("/status/acme").text


def test_charlie_sees_and_changes_nothing_of_others(world: World) -> None:
    page = made_page(world)
    component = made_component(world, page)
    report = made_report(world, page)
    one = f"{PAGES}/{page['id']}"

    assert world.charlie.get(PAGES).json()["statusPages"] == []
    for method, path, body in (
        ("GET", one, None),
        ("PATCH", one, {"name": "Mine"}),
        ("DELETE", one, None),
        ("GET", f"{one}/subscribers", None),
        ("GET", f"{one}/badges", None),
        ("GET", f"{one}/snapshot", None),
        ("POST", f"{one}/components", {"name": "x"}),
        ("PATCH", f"{one}/components/{component['id']}", {"name": "x"}),
        ("POST", f"{one}/reports/{report['id']}/updates", {"body": "x"}),
    ):
        answer = world.charlie.request(method, path, json=body)
        assert answer.status_code == 404, (method, path)
    assert world.alice.get(one).json()["name"] == "Acme"


def test_bob_reports_but_does_not_change_who_sees_it(world: World) -> None:
    page = made_page(world)

    told = world.bob.post(f"{PAGES}/{page['id']}/reports", json={"title": "Slow"})
    settings = world.bob.patch(f"{PAGES}/{page['id']}", json={"visibility": "members"})
    addresses = world.bob.get(f"{PAGES}/{page['id']}/subscribers")

    assert (told.status_code, settings.status_code, addresses.status_code) == (201, 403, 403)


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": "Not A Slug"},
        {"slug": "badges"},
        {"accent": "#ffee00"},
        {"accent": "red"},
        {"timeZone": "Mars/Olympus"},
        {"networks": ["10.0.0.0/8", "nowhere"]},
        {"host": "https://status.example.com/"},
        {"autoReportMinutes": -1},
        {"visibility": "password"},
        {"visibility": "password", "password": "short"},
        {"unknown": 1},
    ],
)
def test_nonsense_is_refused_with_a_reason(world: World, changes: dict[str, object]) -> None:
    page = made_page(world)

    answer = world.alice.patch(f"{PAGES}/{page['id']}", json=changes)

    assert answer.status_code in (400, 409), answer.text
    assert answer.json()["detail"]


def test_an_accent_that_is_too_light_names_one_that_would_do(world: World) -> None:
    page = made_page(world)

    answer = world.alice.patch(f"{PAGES}/{page['id']}", json={"accent": "#ffaa00"})

    assert "4.5:1" in answer.text
    assert "would do" in answer.text


def test_a_slug_is_taken_once(world: World) -> None:
    made_page(world)

    answer = world.charlie.post(PAGES, json={"name": "Other", "slug": "acme"})

    assert answer.status_code == 409


def test_components_stand_in_the_order_that_is_asked_for(world: World) -> None:
    page = made_page(world)
    ids = [made_component(world, page, name)["id"] for name in ("A", "B", "C")]

    wanted = {"componentIds": [ids[2], ids[0]]}
    answer = world.bob.put(f"{PAGES}/{page['id']}/order", json=wanted)

    assert [each["name"] for each in answer.json()["components"]] == ["C", "A", "B"]
    strange = world.bob.put(f"{PAGES}/{page['id']}/order", json={"componentIds": ["0" * 36]})
    assert strange.status_code == 400


def test_a_removed_group_leaves_its_components(world: World) -> None:
    page = made_page(world)
    group = world.alice.post(f"{PAGES}/{page['id']}/groups", json={"name": "Shop"}).json()
    body = {"name": "API", "groupId": group["id"]}
    world.alice.post(f"{PAGES}/{page['id']}/components", json=body)

    assert world.alice.delete(f"{PAGES}/{page['id']}/groups/{group['id']}").status_code == 204

    (left,) = world.alice.get(f"{PAGES}/{page['id']}/components").json()["components"]
    assert left["groupId"] == ""


def test_a_report_is_told_from_investigating_to_resolved(world: World) -> None:
    page = made_page(world)
    component = made_component(world, page)
    report = made_report(world, page, affected={component["id"]: "partial_outage"})
    path = f"{PAGES}/{page['id']}/reports/{report['id']}"

    world.bob.post(f"{path}/updates", json={"status": "identified", "body": "A full disk."})
    world.bob.post(f"{path}/updates", json={"status": "resolved", "body": "Emptied."})

    told = world.alice.get(path).json()
    assert [each["status"] for each in told["updates"]] == [
        "resolved",
        "identified",
        "investigating",
    ]
    assert told["resolvedAt"]
    assert world.alice.get(f"{PAGES}/{page['id']}/reports").json()["reports"] == [told]
    assert world.alice.delete(path).status_code == 204
    assert world.alice.get(path).status_code == 404


def test_a_maintenance_is_announced_moved_and_taken_back(world: World) -> None:
    page = made_page(world)
    begin = utc_now() + timedelta(hours=1)
    body = {
        "title": "Disks",
        "startsAt": rfc3339(begin),
        "endsAt": rfc3339(begin + timedelta(hours=1)),
    }
    path = f"{PAGES}/{page['id']}/maintenances"

    made = world.bob.post(path, json=body).json()
    later = {"endsAt": rfc3339(begin + timedelta(hours=2)), "body": "We need longer."}
    moved = world.bob.patch(f"{path}/{made['id']}", json=later).json()

    assert made["status"] == "scheduled"
    assert moved["endsAt"] == later["endsAt"]
    assert [each["body"] for each in moved["updates"]] == ["We need longer.", ""]
    assert world.bob.delete(f"{path}/{made['id']}").status_code == 204


def test_badges_have_addresses_that_end_when_they_are_renewed(world: World) -> None:
    page = made_page(world)
    (badge,) = world.alice.get(f"{PAGES}/{page['id']}/badges").json()["badges"]
    path = badge["statusSvg"].partition("/status/")[2]
    assert world.stranger.get(f"/status/{path}").status_code == 200

    assert world.alice.post(f"{PAGES}/{page['id']}/badges/renew").status_code == 204
    eventually_page(world)

    assert world.stranger.get(f"/status/{path}").status_code == 404


def test_a_page_can_be_taken_away_as_files(world: World) -> None:
    page = made_page(world)
    made_component(world, page)
    report = made_report(world, page)

    answer = world.alice.get(f"{PAGES}/{page['id']}/snapshot")

    files = ZipFile(BytesIO(answer.content))
    assert {
        "index.html",
        "history/index.html",
        f"incidents/{report['id']}/index.html",
        "api/v2/summary.json",
        "feed.rss",
    } <= set(files.namelist())
    assert b"Slow answers" in files.read("index.html")


def test_a_removed_page_is_gone_for_everybody(world: World) -> None:
    page = made_page(world)

    assert world.alice.delete(f"{PAGES}/{page['id']}").status_code == 204

    assert world.stranger.get("/status/acme").status_code == 404
    assert world.alice.get(f"{PAGES}/{page['id']}").status_code == 404
