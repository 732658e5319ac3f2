"""Every page of tenancy opens, tells what it should, and its forms do what they say."""

import re
from collections.abc import Callable

import pytest
from mainstay_server.kernel.area import Area, Panel, PanelRequest, Tile
from mainstay_server.tenancy.access import SESSION_COOKIE
from tests.world import World


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(EXAMPLE)


def draw_example(asked: PanelRequest) -> str:
    return f"<p>{asked.instance.environment} over {asked.hours} h, may write {asked.may_write}</p>"


EXAMPLE = Area(
    name="example",
    title="Example",
    panels=(Panel(page="monitoring", name="example", title="Example", order=1, draw=draw_example),),
    tiles=lambda session, ids, now: {
        id_: Tile(label="Status", value="Up", tone="ok", page="monitoring") for id_ in ids
    },
    summary=lambda session, ids, now: {id_: {"health": {"uptime": 100.0}} for id_ in ids},
)

PAGES = (
    "/dashboard",
    "/dashboard/new-project",
    "/dashboard/account",
    "/dashboard/organization",
    "/dashboard/organization?member=nobody",
    "/dashboard/projects/inspections/start",
    "/dashboard/projects/inspections/start/arrived",
    "/dashboard/projects/inspections/monitoring",
    "/dashboard/projects/inspections/security",
    "/dashboard/projects/inspections/panels/example",
    "/dashboard/projects/inspections/settings",
)


def test_every_page_opens_for_its_people_and_for_nobody_else(world: World) -> None:
    for path in PAGES:
        for person in (world.alice, world.bob):
            answer = person.get(path)
            assert answer.status_code == 200, answer.text
            assert "style=" not in answer.text
        if "/projects/" in path:  # a project of others is as absent as one that never was
            assert world.charlie.get(path).status_code == 404
        answer = world.stranger.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/dashboard")


def test_the_overview_shows_tiles_and_finds_by_name(world: World) -> None:
    assert "Up" in world.alice.get("/dashboard").text
    assert "inspections" in world.alice.get("/dashboard?q=spect").text
    assert "No project fits" in world.alice.get("/dashboard?q=nothing-like-it").text
    assert "spying" not in world.alice.get("/dashboard").text


def test_panels_share_the_pages_time_range_and_instance(world: World) -> None:
    page = world.bob.get("/dashboard/projects/inspections/monitoring?hours=6").text

    assert "production over 6 h, may write True" in page
    assert f"/panels/example?instance={world.instance.id}&amp;hours=6" in page
    by_id = world.bob.get(f"/dashboard/projects/{world.instance.project_id}/monitoring")
    assert by_id.status_code == 200


def test_a_new_project_leads_to_lines_with_its_own_dsn(world: World) -> None:
    made = world.bob.post("/dashboard/new-project", data={"name": "Sea Trials"})
    assert made.headers["location"] == "/dashboard/projects/sea-trials/start"

    start = world.bob.get(made.headers["location"]).text
    dsn = world.bob.get("/api/projects/sea-trials").json()["dsn"]
    assert start.count(dsn) >= 6
    assert "Waiting for the first event" in start
    # On PyPI that name is another project's: whoever ran the line would run strangers' code.
    assert "pip install mainstay" not in start


def test_a_refused_project_keeps_what_was_typed_and_makes_nothing(world: World) -> None:
    answer = world.bob.post("/dashboard/new-project", data={"name": "Two", "slug": "Not A Slug"})

    assert answer.status_code == 400
    assert "Not A Slug" in answer.text
    assert len(world.bob.get("/api/projects").json()["projects"]) == 1


def test_the_settings_change_what_they_say(world: World) -> None:
    base = "/dashboard/projects/inspections/settings"
    world.bob.post(f"{base}/name", data={"name": "Hull inspections"})
    world.bob.post(f"{base}/instances", data={"environment": "staging", "url": ""})
    world.bob.post(
        f"{base}/instances/{world.instance.id}",
        data={"url": "https://app.example", "health_path": "/up", "interval_seconds": "60"},
    )

    assert world.bob.get("/api/projects/inspections").json()["name"] == "Hull inspections"
    changed = world.bob.get(f"/api/instances/{world.instance.id}").json()
    assert (changed["url"], changed["healthPath"], changed["intervalSeconds"]) == (
        "https://app.example",
        "/up",
        60,
    )
    found = world.bob.get("/api/instances?project=inspections").json()["instances"]
    assert [each["environment"] for each in found] == ["production", "staging"]


def test_a_form_that_is_refused_half_way_changes_nothing(world: World) -> None:
    answer = world.bob.post(
        f"/dashboard/projects/inspections/settings/instances/{world.instance.id}",
        data={"url": "https://app.example", "interval_seconds": "1"},
    )

    assert answer.status_code == 303
    assert world.bob.get(f"/api/instances/{world.instance.id}").json()["url"] == ""


def test_an_instance_of_another_project_is_out_of_a_forms_reach(world: World) -> None:
    world.alice.post(
        f"/dashboard/projects/inspections/settings/instances/{world.charlies_instance.id}",
        data={"url": "https://evil.example"},
    )

    url = world.charlie.get(f"/api/instances/{world.charlies_instance.id}").json()["url"]
    assert url == ""


def test_ingest_keys_are_for_administrators(world: World) -> None:
    key = world.alice.get("/api/projects/inspections/ingest-keys").json()["ingestKeys"][0]["id"]
    for verb in ("rotate", "disable", "enable"):
        path = f"/dashboard/projects/inspections/settings/ingest-keys/{key}/{verb}"

        assert world.bob.post(path).status_code == 403
        assert world.alice.post(path).status_code == 303


def test_a_flash_says_what_was_done_on_the_next_page(world: World) -> None:
    answer = world.bob.post("/dashboard/projects/inspections/settings/name", data={"name": "New"})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    headers = {"cookie": f"{SESSION_COOKIE}=bobs-session; {cookie}"}

    page = world.bob.get(answer.headers["location"], headers=headers)
    assert "The name was changed." in page.text
    # Said once: a browser forgets it with the page that said it.
    assert 'mainstay_flash=""' in page.headers["set-cookie"]
    assert "Max-Age=0" in page.headers["set-cookie"]
    assert "Path=/dashboard/projects/inspections/settings;" in page.headers["set-cookie"]


def test_a_token_is_shown_once(world: World) -> None:
    page = world.alice.post(
        "/dashboard/account/tokens", data={"name": "script", "scopes": ["project:read"]}
    ).text
    token = re.findall(r"mst_[0-9A-Za-z]{46}", page)[0]

    assert token not in world.alice.get("/dashboard/account").text
    answer = world.stranger.get("/api/me", headers={"authorization": f"Bearer {token}"})
    assert answer.json()["scopes"] == ["project:read"]


def test_a_member_cannot_invite_and_an_owner_can(world: World) -> None:
    assert world.bob.post("/dashboard/organization/invitations").status_code == 403
    page = world.alice.post("/dashboard/organization/invitations", data={"role": "viewer"})
    assert re.search(r"http://mainstay\.test/join/[\w-]{40,}", page.text)


def test_a_members_form_and_an_instances_form_open_on_the_page(world: World) -> None:
    member = world.alice.get(f"/dashboard/organization?member={world.bob.person_id}").text
    assert f"/members/{world.bob.person_id}/remove" in member
    settings = "/dashboard/projects/inspections/settings"
    world.alice.post(f"{settings}/instances", data={"environment": "staging"})
    form = world.alice.get(f"{settings}?edit={world.instance.id}").text
    assert f"/instances/{world.instance.id}/delete" in form
    assert "/delete" not in world.bob.get(f"{settings}?edit={world.instance.id}").text


def test_forms_without_their_pages_token_are_refused(world: World) -> None:
    answer = world.alice.post(
        "/dashboard/organization/name", data={"name": "X"}, headers={"x-csrf-token": "wrong"}
    )

    assert answer.status_code == 403
