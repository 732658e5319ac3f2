"""The ways in: signing in, the first set-up, invitations, and ending sessions."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.contracts.tenancy import (
    PersonSignedIn,
    PersonSignedOut,
    PersonSignInRefused,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Event, OutboxEvent, said_events
from mainstay_server.kernel.problems import TooManyRequests
from mainstay_server.kernel.web import csrf_token
from mainstay_server.tenancy.access import SESSION_COOKIE
from mainstay_server.tenancy.models import Organization, Person
from mainstay_server.tenancy.service import people
from mainstay_server.tenancy.service.passwords import hash_password
from mainstay_server.tenancy.service.setup import prepare_first_start
from tests.world import Browser, World

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSWORD = "nine ships at anchor"


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    made = client_for()
    with transaction() as session:
        session.get_one(Person, made.alice.person_id).password_hash = hash_password(PASSWORD)
    return made


def sign_in(browser: Browser, password: str = PASSWORD, **fields: str) -> Any:
    data = {"email": "Alice@ships.example", "password": password, **fields}
    return browser.post("/login", data=data)


def heard() -> list[Event]:
    with reading() as session:
        return [event for _, event in said_events(session)]


def cookie_of(answer: Any) -> dict[str, str]:
    value = re.search(f"{SESSION_COOKIE}=([^;]+)", answer.headers["set-cookie"])
    assert value is not None
    return {"cookie": f"{SESSION_COOKIE}={value[1]}"}


def test_the_right_password_opens_a_session_that_scripts_cannot_see(world: World) -> None:
    answer = sign_in(world.stranger, next="/dashboard/projects/inspections/settings")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/projects/inspections/settings"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=2592000" in cookie
    me = world.stranger.get("/api/me", headers=cookie_of(answer)).json()
    assert (me["email"], me["organization"]["role"]) == ("alice@ships.example", "owner")


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil", "x"])
def test_nobody_is_led_elsewhere_after_signing_in(elsewhere: str, world: World) -> None:
    assert sign_in(world.stranger, next=elsewhere).headers["location"] == "/dashboard"


def test_a_wrong_password_and_an_unknown_address_look_the_same(world: World) -> None:
    wrong = sign_in(world.stranger, "something else")
    unknown = sign_in(world.stranger, email="nobody@ships.example")

    assert wrong.status_code == unknown.status_code == 401
    assert "is wrong" in wrong.text
    assert "is wrong" in unknown.text
    refused = [event for event in heard() if isinstance(event, PersonSignInRefused)]
    assert [(event.email, event.reason) for event in refused] == [
        ("alice@ships.example", "wrong password"),
        ("", "unknown address"),
    ], "what was typed is not kept when it is nobody's address"
    assert {event.organization_id for event in refused} == {world.instance.organization_id}


def test_coming_and_going_is_said_with_the_person_and_where_from(world: World) -> None:
    cookie = cookie_of(sign_in(world.stranger))
    session_id = world.stranger.get("/api/sessions", headers=cookie).json()["sessions"][0]["id"]
    with reading() as session:
        said = session.scalars(sa.select(OutboxEvent)).one()
    assert (said.name, said.actor) == ("PersonSignedIn", f"person:{world.alice.person_id}")
    assert (said.actor_name, said.actor_email) == ("Alice", "alice@ships.example")
    assert (said.address, said.client) == ("testclient", "testclient")

    world.stranger.post("/logout", headers={**cookie, "x-csrf-token": csrf_token(session_id)})

    assert [type(event) for event in heard()] == [PersonSignedIn, PersonSignedOut]


def test_the_eleventh_try_has_to_wait(world: World) -> None:
    for _ in range(10):
        assert sign_in(world.stranger, "something else").status_code == 401

    assert sign_in(world.stranger).status_code == 429
    assert sign_in(world.stranger, email="bob@ships.example").status_code == 401


def tries(addresses: Iterable[str], emails: Iterable[str]) -> int:
    """How many are let through to the password, of one wrong try after the other."""
    allowed = 0
    for address, email in zip(addresses, emails, strict=False):
        with suppress(TooManyRequests):
            people._count_try(email, address, now=NOON)
            allowed += 1
    return allowed


def test_tries_are_counted_for_whole_networks_and_for_people_from_anywhere(world: World) -> None:
    one_network = (f"2001:db8:1:2::{n:x}" for n in range(1, 50))
    assert tries(one_network, repeat("ann@ships.example")) == 10
    many_people = (f"p{n}@ships.example" for n in range(300))
    assert tries(repeat("192.0.2.1"), many_people) == 100
    everywhere = (f"10.0.{n // 250}.{n % 250}" for n in range(500))
    assert tries(everywhere, repeat("ben@ships.example")) == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("http://mainstay.test", 303)],
)
def test_over_http_a_form_of_another_origin_is_refused(
    origin: str, status: int, world: World
) -> None:
    data = {"email": "alice@ships.example", "password": PASSWORD}
    answer = world.stranger.post("/login", data=data, headers={"origin": origin})
    assert answer.status_code == status


def test_a_form_of_another_site_is_refused(world: World) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    answer = world.stranger.post(
        "/login", data={"email": "alice@ships.example", "password": PASSWORD}, headers=headers
    )

    assert answer.status_code == 403


def test_signing_out_ends_the_session(world: World) -> None:
    assert world.alice.post("/logout").headers["location"] == "/login"
    assert world.alice.get("/api/me").status_code == 401


def test_a_new_password_ends_the_other_sessions(world: World) -> None:
    other = cookie_of(sign_in(world.stranger))
    body = {"currentPassword": PASSWORD, "newPassword": "ten ships at anchor"}

    assert world.alice.post("/api/me/password", json=body).status_code == 204

    assert world.stranger.get("/api/me", headers=other).status_code == 401
    assert world.alice.get("/api/me").status_code == 200
    assert sign_in(world.stranger).status_code == 401
    assert sign_in(world.stranger, "ten ships at anchor").status_code == 303


@pytest.mark.parametrize("weak", ["short", "password123", "alice@ships.example", "aaaaaaaaaaaa"])
def test_a_weak_password_is_refused_with_the_reason(weak: str, world: World) -> None:
    body = {"currentPassword": PASSWORD, "newPassword": weak}
    answer = world.alice.post("/api/me/password", json=body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "newPassword"


def test_own_sessions_are_listed_and_ended_and_no_others(world: World) -> None:
    other = cookie_of(sign_in(world.stranger))
    found = world.alice.get("/api/sessions").json()["sessions"]
    assert sorted(each["current"] for each in found) == [False, True]
    ended = next(each["id"] for each in found if not each["current"])

    assert world.bob.delete(f"/api/sessions/{ended}").status_code == 404
    assert world.alice.delete(f"/api/sessions/{ended}").status_code == 204
    assert world.stranger.get("/api/me", headers=other).status_code == 401


def test_an_invitation_lets_one_person_in(world: World) -> None:
    made = world.alice.post("/api/invitations", json={"role": "member"}).json()
    path = made["url"].removeprefix("http://mainstay.test")
    assert "Join Ships" in world.stranger.get(path).text
    data = {"email": "dora@ships.example", "name": "Dora", "password": "eleven ships at sea"}

    joined = world.stranger.post(path, data=data)

    me = world.stranger.get("/api/me", headers=cookie_of(joined)).json()
    assert (me["name"], me["organization"]["role"]) == ("Dora", "member")
    assert world.stranger.post(path, data=data).status_code == 410
    assert world.stranger.get(path).status_code == 410


def test_somebody_with_an_account_joins_a_second_organization_and_switches(world: World) -> None:
    made = world.alice.post("/api/invitations", json={"role": "viewer"}).json()
    path = made["url"].removeprefix("http://mainstay.test")
    assert "signed in as Charlie" in world.charlie.get(path).text

    assert world.charlie.post(f"{path}/agree").status_code == 303

    me = world.charlie.get("/api/me").json()
    assert (me["organization"]["name"], me["organization"]["role"]) == ("Ships", "viewer")
    assert world.charlie.get("/api/projects/inspections").status_code == 200
    home = next(o["id"] for o in me["organizations"] if o["name"] == "Rivals")
    body = {"organizationId": home}
    assert world.charlie.post("/api/me/organization", json=body).status_code == 204
    assert world.charlie.get("/api/projects/inspections").status_code == 404
    body = {"organizationId": me["organization"]["id"]}
    assert world.bob.post("/api/me/organization", json={"organizationId": home}).status_code == 404


def test_an_address_with_an_account_is_asked_to_sign_in_first(world: World) -> None:
    url = world.alice.post("/api/invitations", json={"role": "viewer"}).json()["url"]
    path = url.removeprefix("http://mainstay.test")
    data = {"email": "bob@ships.example", "name": "B", "password": "eleven ships at sea"}

    answer = world.stranger.post(path, data=data)

    assert answer.status_code == 409
    assert "sign in" in answer.text
    assert world.stranger.get(path).status_code == 200  # the link was not used up


def test_the_first_start_makes_a_link_that_the_next_start_voids(world: World) -> None:
    with transaction() as session:  # as on an empty server
        for person in session.query(Person):
            session.delete(person)
        for organization in session.query(Organization):
            session.delete(organization)
    with transaction() as session:
        first = prepare_first_start(session, utc_now())
    with transaction() as session:
        second = prepare_first_start(session, utc_now())
    assert first is not None
    assert second is not None
    assert world.stranger.get(first).status_code == 410
    fields = {"email": "eve@ships.example", "name": "Eve", "organization_name": "Harbour"}

    refused = world.stranger.post(second, data={**fields, "password": "short"})
    assert refused.status_code == 400
    assert 'value="Harbour"' in refused.text
    done = world.stranger.post(second, data={**fields, "password": PASSWORD})

    me = world.stranger.get("/api/me", headers=cookie_of(done)).json()
    assert me["organization"]["name"] == "Harbour"
    assert me["organization"]["role"] == "owner"
    assert world.stranger.get(second).status_code == 410
    with transaction() as session:
        assert prepare_first_start(session, utc_now()) is None
