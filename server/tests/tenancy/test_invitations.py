"""Invitations end with the right of those who made them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from mainstay_server.contracts.tenancy import InvitationRevoked
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import said_events
from mainstay_server.tenancy.models import Membership, OneTimeLink, Role
from sqlalchemy import select, update
from tests.world import Browser, World

NEWCOMER = {"email": "dora@ships.example", "name": "Dora", "password": "eleven ships at sea"}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for()


def invitation_of(browser: Browser, role: str) -> str:
    """The path of a new invitation."""
    answer = browser.post("/api/invitations", json={"role": role})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"]).removeprefix("http://mainstay.test")


def give(world: World, role: str) -> None:
    answer = world.alice.patch(f"/api/members/{world.bob.person_id}", json={"role": role})
    assert answer.status_code == 204, answer.text


def revoked() -> int:
    with reading() as session:
        return sum(isinstance(event, InvitationRevoked) for _, event in said_events(session))


def test_an_invitation_ends_when_its_maker_is_removed(world: World) -> None:
    give(world, "owner")
    path = invitation_of(world.bob, "owner")
    assert world.stranger.get(path).status_code == 200

    assert world.alice.delete(f"/api/members/{world.bob.person_id}").status_code == 204

    assert world.stranger.get(path).status_code == 410
    assert world.stranger.post(path, data=NEWCOMER).status_code == 410
    assert world.alice.get("/api/invitations").json()["invitations"] == []
    assert revoked() == 1


def test_an_invitation_does_not_come_back_with_its_maker(world: World) -> None:
    give(world, "admin")
    path = invitation_of(world.bob, "member")
    assert world.alice.delete(f"/api/members/{world.bob.person_id}").status_code == 204
    back = invitation_of(world.alice, "admin")
    assert world.bob.post(f"{back}/agree").status_code == 303

    assert world.stranger.get(path).status_code == 410


@pytest.mark.parametrize(
    ("given", "later", "still"),
    [
        ("owner", "admin", False),
        ("admin", "admin", True),
        ("member", "admin", True),
        ("viewer", "member", False),  # a member invites nobody
    ],
)
def test_a_lesser_role_takes_back_what_it_could_not_give(
    world: World, *, given: str, later: str, still: bool
) -> None:
    give(world, "owner")
    path = invitation_of(world.bob, given)

    give(world, later)

    assert world.stranger.get(path).status_code == (200 if still else 410)
    assert revoked() == (0 if still else 1)


def test_invitations_of_others_stay(world: World) -> None:
    give(world, "admin")
    path = invitation_of(world.alice, "admin")

    give(world, "viewer")

    assert world.stranger.post(path, data=NEWCOMER).status_code == 303


def test_a_link_made_at_the_moment_of_the_removal_opens_nothing_either(world: World) -> None:
    give(world, "owner")
    path, bob = invitation_of(world.bob, "owner"), world.bob.person_id
    with transaction() as session:  # as a change that did not see the link leaves it
        session.execute(
            update(Membership).where(Membership.person_id == bob).values(role=Role.VIEWER)
        )

    assert world.stranger.post(path, data=NEWCOMER).status_code == 410
    assert world.alice.get("/api/invitations").json()["invitations"] == []


def test_who_made_an_invitation_is_told(world: World) -> None:
    give(world, "admin")
    invitation_of(world.bob, "viewer")

    (told,) = world.alice.get("/api/invitations").json()["invitations"]
    assert told["madeBy"] == world.bob.person_id
    page = world.alice.get("/dashboard/organization").text
    assert "Bob" in page.partition("Open invitations")[2]
    with reading() as session:
        (link,) = session.scalars(select(OneTimeLink).where(OneTimeLink.made_by.is_not(None)))
    assert link.expires_at > utc_now() + timedelta(days=6)
