"""The pages: what members and admins see, what a filter leaves, and what the proof says."""

from collections.abc import Callable

import pytest
from mainstay_server.areas import audit
from mainstay_server.areas.audit import pages
from mainstay_server.areas.audit.service import checkpoints
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.events import run_waiting
from tests.areas.audit.worlds import as_owner
from tests.world import World

ORGANIZATION = "/dashboard/organization/audit"
PROJECT = "/dashboard/projects/inspections/audit"
SECURITY = "/dashboard/projects/inspections/security"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(audit.area)


def act(world: World) -> None:
    world.alice.patch("/api/projects/inspections", json={"name": "Sea Trials"})
    world.bob.post("/api/projects", json={"name": "Harbour"})
    run_waiting(now=utc_now())


def test_an_empty_log_says_what_will_fill_it(world: World) -> None:
    for path in (ORGANIZATION, PROJECT, SECURITY):
        assert "Nothing was administered yet" in world.alice.get(path).text, path


def test_a_row_opens_to_what_was_before_and_after(world: World) -> None:
    act(world)

    for path in (ORGANIZATION, PROJECT, SECURITY):
        shown = world.alice.get(path).text
        assert "Project changed" in shown, path
        assert "Inspections" in shown
        assert "Sea Trials" in shown
        assert "alice@ships.example" in shown


def test_filters_leave_what_fits_and_say_when_nothing_does(world: World) -> None:
    act(world)

    changed = world.alice.get(f"{ORGANIZATION}?action=project.changed").text
    assert "Project created <" not in changed
    assert 'aria-current="true">Project changed</a>' in changed
    assert "Project created <" in world.alice.get(f"{ORGANIZATION}?actor=bob").text
    assert "Nothing fits" in world.alice.get(f"{ORGANIZATION}?q=no-such-thing").text
    assert "That is no date" in world.alice.get(f"{ORGANIZATION}?from=yesterday").text
    assert "/api/audit-logs?action=project&amp;export=csv" in (
        world.alice.get(f"{ORGANIZATION}?action=project").text
    )


def test_the_proof_is_told_and_a_look_finds_what_was_changed(world: World) -> None:
    act(world)
    with transaction() as session:
        checkpoints.sign_all(session, now=utc_now())
    run_waiting(now=utc_now())

    assert world.alice.post(f"{ORGANIZATION}/verify").status_code == 303
    shown = world.alice.get(ORGANIZATION).text
    assert "Verified" in shown
    assert "Signed at row" in shown

    as_owner("DELETE FROM audit_rows WHERE position = 2")
    world.alice.post(f"{ORGANIZATION}/verify")
    assert "Row 2 is missing" in world.alice.get(ORGANIZATION).text


def test_members_see_their_project_and_only_admins_the_organization(world: World) -> None:
    act(world)

    assert world.bob.get(PROJECT).status_code == 200
    assert world.bob.get(ORGANIZATION).status_code == 403
    assert ORGANIZATION not in world.bob.get("/dashboard").text
    assert ORGANIZATION in world.alice.get("/dashboard").text
    assert world.charlie.get(PROJECT).status_code == 404


def test_what_people_called_a_thing_is_shown_as_text(world: World) -> None:
    world.alice.patch("/api/projects/inspections", json={"name": "<script>alert(1)</script>"})
    run_waiting(now=utc_now())

    assert "<script>alert(1)" not in world.alice.get(ORGANIZATION).text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("api_key created", "API key created"),
        ("ip_allowlist changed", "IP allowlist changed"),
        ("rate_limit created", "Rate limit created"),
        ("", ""),
    ],
)
def test_actions_are_told_as_people_write_them(name: str, words: str) -> None:
    assert pages._words(name) == words
