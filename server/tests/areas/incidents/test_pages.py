"""The pages of incidents, as people click through them."""

from collections.abc import Callable
from typing import Any

import pytest
from mainstay_server.areas.alerts import area as alerts
from mainstay_server.areas.incidents import area
from mainstay_server.areas.status_pages import area as status_pages
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.events import run_waiting
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(area, alerts, status_pages)


def home(world: World) -> str:
    return f"/dashboard/projects/{world.project}/incidents"


def only(world: World) -> dict[str, Any]:
    path = f"/api/projects/{world.project}/incidents"
    (found,) = world.alice.get(path).json()["incidents"]
    one: dict[str, Any] = world.alice.get(f"{path}/{found['id']}").json()
    return one


def opened(world: World, **form: str) -> str:
    """Open one by the form; returns the path of its page."""
    answer = world.bob.post(home(world), data={"title": "Payments time out", **form})
    assert answer.status_code == 303
    return answer.headers["location"]


def alert(world: World, **more: str) -> str:
    body = {"type": "instance_down", "severity": "critical", "title": "Shop is down"} | more
    path = f"/api/instances/{world.instance.id}/alerts"
    made = world.alice.post(path, json={**body, "message": ""})
    run_waiting(now=utc_now())
    return str(made.json()["id"])


def test_an_empty_page_says_what_opens_one(world: World) -> None:
    page = world.bob.get(home(world)).text
    assert "No incident yet" in page
    assert "An alert of severity critical opens one by itself" in page
    assert 'id="new-incident"' in page


def test_one_is_opened_by_the_form_and_shown_in_the_list(world: World) -> None:
    path = opened(world, severity="critical", instance_id=world.instance.id)
    one = world.bob.get(path)
    assert one.status_code == 200
    assert "#1 Payments time out" in one.text
    assert "I am on it" in one.text
    listed = world.bob.get(home(world)).text
    assert "Payments time out" in listed
    assert "opened by hand" in listed
    assert "No incident fits" in world.bob.get(f"{home(world)}?status=resolved").text
    refused = world.bob.post(home(world), data={"title": " "})
    assert refused.headers["location"] == home(world)
    assert "needs a title" in world.bob.get(home(world), headers=flash_of(world, refused)).text


def flash_of(world: World, answer: Any) -> dict[str, str]:
    """The headers of a browser that keeps what a redirect had to say."""
    cookie = answer.headers["set-cookie"].split(";")[0]
    return {"cookie": f"{cookie}; {world.bob._headers['cookie']}"}


def test_people_say_how_it_goes_by_one_form(world: World) -> None:
    path = opened(world)
    form = {"status": "identified", "severity": "critical", "message": "a **full** disk"}
    assert world.bob.post(f"{path}/update", data=form).status_code == 303
    one = only(world)
    assert (one["status"], one["severity"]) == ("identified", "critical")
    page = world.bob.get(path).text
    assert "a <strong>full</strong> disk" in page
    world.bob.post(f"{path}/update", data={"status": "identified", "message": "<b>note</b>"})
    page = world.bob.get(path).text
    assert "&lt;b&gt;note&lt;/b&gt;" in page
    nothing = world.bob.post(f"{path}/update", data={"status": "identified", "severity": ""})
    assert "Nothing is different" in world.bob.get(path, headers=flash_of(world, nothing)).text
    world.bob.post(f"{path}/update", data={"status": "resolved"})
    assert "Open it again?" in world.bob.get(path).text


def test_who_takes_it_up_responds_and_its_alerts_know(world: World) -> None:
    alert(world)
    path = f"{home(world)}/{only(world)['id']}"
    assert "Nobody has taken it up" in world.bob.get(path).text
    world.bob.post(f"{path}/take")
    page = world.bob.get(path).text
    assert "I am on it" not in page
    assert "Bob has taken it up" in page
    assert only(world)["alerts"][0]["acknowledgedAt"] is not None
    world.bob.post(f"{path}/people/{world.bob.person_id}/leave")
    assert only(world)["people"] == []


def test_roles_are_given_by_one_form_and_given_up_by_choosing_nobody(world: World) -> None:
    path = opened(world)
    chosen = {"commander": world.alice.person_id, "responder": world.bob.person_id}
    world.bob.post(f"{path}/people", data=chosen)
    assert [(p["name"], p["role"]) for p in only(world)["people"]] == [
        ("Alice", "commander"),
        ("Bob", "responder"),
    ]
    world.bob.post(f"{path}/people", data={"commander": ""})
    assert [p["role"] for p in only(world)["people"]] == ["responder"]
    stranger = {"scribe": world.charlie.person_id}
    world.bob.post(f"{path}/people", data=stranger)
    assert [p["role"] for p in only(world)["people"]] == ["responder"]


def test_alerts_are_joined_and_taken_out(world: World) -> None:
    path = opened(world)
    alert_id = alert(world, severity="info", title="Disk fills")
    assert "active: Disk fills" in world.bob.get(path).text
    world.bob.post(f"{path}/alerts", data={"alert_id": alert_id})
    assert [each["title"] for each in only(world)["alerts"]] == ["Disk fills"]
    world.bob.post(f"{path}/alerts/{alert_id}/leave")
    assert only(world)["alerts"] == []


def test_it_is_told_on_a_status_page_and_updates_may_follow(world: World) -> None:
    made = world.alice.post("/api/status-pages", json={"name": "Shop", "slug": "shop"}).json()
    path = opened(world)
    assert "Tell on a status page" in world.bob.get(path).text
    world.bob.post(f"{path}/tell", data={"page_id": made["id"], "body": "We look."})
    assert "Say the same to everybody on" in world.bob.get(path).text
    update = {"status": "resolved", "message": "All is well.", "page": made["id"]}
    world.bob.post(f"{path}/update", data=update)
    (report,) = world.bob.get(f"/api/status-pages/{made['id']}/reports").json()["reports"]
    assert report["status"] == "resolved"
    assert {each["body"] for each in report["updates"]} == {"We look.", "All is well."}


def test_it_can_be_called_otherwise_and_removed_by_an_administrator(world: World) -> None:
    path = opened(world)
    edit = {"title": "Paying fails", "summary": "Nobody can pay.", "instance_id": ""}
    world.bob.post(f"{path}/edit", data=edit)
    assert (only(world)["title"], only(world)["summary"]) == ("Paying fails", "Nobody can pay.")
    assert "Remove it" not in world.bob.get(path).text
    assert world.bob.post(f"{path}/remove").status_code == 403
    assert world.alice.post(f"{path}/remove").status_code == 303
    assert world.alice.get(path).status_code == 404


def test_a_note_is_taken_out_by_its_button(world: World) -> None:
    path = opened(world)
    world.bob.post(f"{path}/update", data={"message": "a mistake"})
    timeline = f"/api/projects/{world.project}/incidents/1/timeline"
    note = world.bob.get(timeline).json()["entries"][0]
    world.bob.post(f"{path}/notes/{note['id']}/remove")
    assert "a mistake" not in world.bob.get(path).text


def test_a_postmortem_is_a_draft_until_it_is_saved(world: World) -> None:
    path = f"{opened(world)}/postmortem"
    draft = world.bob.get(path).text
    assert "A draft" in draft
    assert "<h2>Payments time out</h2>" in draft
    assert "<td>Severity</td>" in draft
    editor = world.bob.get(f"{path}?edit=1").text
    assert 'name="version" value="0"' in editor
    saved = world.bob.post(path, data={"body": "# Learnt\r\n<script>x</script>", "version": "0"})
    assert saved.status_code == 303
    page = world.bob.get(path).text
    assert "<h2>Learnt</h2>" in page
    assert "<script>x" not in page
    late = world.alice.post(path, data={"body": "my words", "version": "0"}).text
    assert "Somebody changed the postmortem meanwhile" in late
    assert "my words" in late


def test_settings_are_chosen_by_the_form(world: World) -> None:
    path = f"{home(world)}/settings"
    page = world.bob.get(path).text
    assert 'value="critical" selected' in page
    form = {"opens_from": "warning", "join_minutes": "5", "template": "# {title}\r\n"}
    world.bob.post(path, data=form)
    settings = f"/api/projects/{world.project}/incident-settings"
    assert world.bob.get(settings).json() == {
        "opensFrom": "warning",
        "joinMinutes": 5,
        "resolvesAlone": False,
        "template": "# {title}",
    }
    world.bob.post(path, data=form | {"join_minutes": "soon"})
    assert world.bob.get(settings).json()["joinMinutes"] == 5


def test_the_panel_shows_what_is_open_and_what_was_over_last(world: World) -> None:
    panel = f"/dashboard/projects/{world.project}/panels/monitoring/incidents"
    monitoring = f"/dashboard/projects/{world.project}/monitoring"
    assert "No incident is open on production" in world.bob.get(monitoring).text
    path = opened(world, instance_id=world.instance.id)
    shown = world.bob.get(monitoring).text
    assert "Payments time out" in shown
    world.bob.post(f"{path}/update", data={"status": "resolved"})
    assert "The last one" in world.bob.get(monitoring).text
    assert panel


def test_viewers_of_others_see_nothing(world: World) -> None:
    path = opened(world)
    for page in (home(world), path, f"{path}/postmortem", f"{home(world)}/settings"):
        assert world.charlie.get(page).status_code == 404
        assert world.stranger.get(page).status_code in {303, 401}
    theirs = f"/dashboard/projects/{world.charlies_instance.project_slug}/incidents"
    one = path.rpartition("/")[2]
    assert world.charlie.get(f"{theirs}/{one}").status_code == 404
    for action in ("take", "update", "edit", "people", "alerts", "tell", "remove"):
        assert world.charlie.post(f"{theirs}/{one}/{action}").status_code == 404 or (
            only(world)["status"] == "investigating"
        )
        assert world.charlie.post(f"{path}/{action}").status_code == 404
