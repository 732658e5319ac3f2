"""Lists come in pages that join without a gap, and pages of people lead to the next."""

import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mainstay_server.kernel.database import new_id, transaction
from mainstay_server.tenancy.models import (
    AccessToken,
    IngestKey,
    Instance,
    Membership,
    OneTimeLink,
    Person,
    Role,
    SignInSession,
)
from sqlalchemy.orm import Session
from tests.world import Browser, World

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MANY = 120


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    made = client_for()
    with transaction() as session:
        for number in range(MANY):
            _one_more_of_everything(session, made, number)
    return made


def _one_more_of_everything(session: Session, world: World, number: int) -> None:
    organization_id, alice = world.instance.organization_id, world.alice.person_id
    person = Person(
        id=new_id(),
        email=f"{number:03}@ships.example",
        name=f"Sailor {number % 7}",  # names that many share
        password_hash="",
        created_at=NOON,
    )
    session.add(person)
    session.flush()
    session.add_all(
        [
            Membership(
                id=new_id(),
                organization_id=organization_id,
                person_id=person.id,
                role=Role.VIEWER,
                created_at=NOON,
            ),
            OneTimeLink(
                id=new_id(),
                purpose="invitation",
                organization_id=organization_id,
                role=Role.VIEWER,
                made_by=alice,
                token_hash=new_id(),
                created_at=NOON,
                expires_at=NOON + timedelta(days=3650),
            ),
            AccessToken(
                id=new_id(),
                organization_id=organization_id,
                person_id=alice,
                name=f"token {number}",
                hint="mst_0000",
                token_hash=new_id(),
                scopes=["project:read"],
                created_at=NOON,
            ),
            SignInSession(
                id=new_id(),
                person_id=alice,
                organization_id=organization_id,
                token_hash=new_id(),
                created_at=NOON,
                last_seen_at=NOON + timedelta(minutes=number % 5),
                expires_at=NOON + timedelta(days=3650),
                address="192.0.2.7",
                client="a browser",
            ),
            Instance(
                id=new_id(),
                project_id=world.instance.project_id,
                environment=f"branch-{number:03}",
                created_at=NOON,
            ),
        ]
    )
    if number < 49:
        session.add(
            IngestKey(
                id=new_id(),
                project_id=world.instance.project_id,
                key=f"{number:032}",
                label=f"key {number}",
                created_at=NOON,
            )
        )


def all_of(browser: Browser, path: str, name: str, *, limit: int = 50) -> list[dict[str, Any]]:
    """The whole list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = browser.get(f"{path}?limit={limit}&cursor={cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page[name]) <= limit
        found += page[name]
        cursor = page["nextCursor"]
    return found


LISTS = [
    ("/api/members", "members", MANY + 2, "personId"),
    ("/api/invitations", "invitations", MANY, "id"),
    ("/api/tokens", "tokens", MANY, "id"),
    ("/api/sessions", "sessions", MANY + 1, "id"),
    ("/api/projects/inspections/ingest-keys", "ingestKeys", 50, "id"),
    ("/api/summaries", "summaries", MANY + 1, "instanceId"),
    ("/api/instances", "instances", MANY + 1, "id"),
]


@pytest.mark.parametrize("limit", [7, 50])
def test_the_pages_of_a_list_hold_everything_once(
    world: World, limit: int, subtests: pytest.Subtests
) -> None:
    for path, name, count, key in LISTS:
        with subtests.test(path=path):
            ids = [one[key] for one in all_of(world.alice, path, name, limit=limit)]

            assert len(ids) == len(set(ids)) == count


def test_a_list_without_a_limit_is_short(world: World) -> None:
    for path, name in (("/api/members", "members"), ("/api/summaries", "summaries")):
        page = world.alice.get(path).json()
        assert len(page[name]) == 50
        assert page["nextCursor"]


STRANGE = ["nonsense", "WyJhIl0", "WzEsMiwzXQ", "WyJub3doZW4iLCJhIl0"]


def test_a_strange_cursor_is_refused_or_a_place_in_the_list(
    world: World, subtests: pytest.Subtests
) -> None:
    for path, cursor in itertools.product((path for path, *_ in LISTS), STRANGE):
        with subtests.test(path=path, cursor=cursor):
            assert world.alice.get(f"{path}?cursor={cursor}").status_code in (200, 400)


CARDS = [
    ("/dashboard/organization", "Members", MANY + 2),
    ("/dashboard/organization", "Open invitations", MANY),
    ("/dashboard/account", "Access tokens", MANY),
    ("/dashboard/account", "Signed-in browsers", MANY + 1),
]


def test_a_page_leads_to_the_rest_of_its_list(world: World, subtests: pytest.Subtests) -> None:
    for page, card, rows in CARDS:
        with subtests.test(card=card):
            assert rows_of(world.alice, page, card) == rows


def rows_of(browser: Browser, page: str, card: str) -> int:
    """How many rows a card has on a page and on all that it leads to."""
    seen, path = 0, page
    while path:
        shown = re.search(
            f'<section [^>]*aria-label="{card}".*?</section>', browser.get(path).text, re.DOTALL
        )
        assert shown is not None, card
        seen += shown[0].count("<tr>") - 1  # the head
        more = re.search(r'href="([^"]+)" rel="next"', shown[0])
        path = more[1].replace("&amp;", "&") if more else ""
    return seen


def test_a_member_who_is_not_on_the_page_can_be_changed_too(world: World) -> None:
    last = all_of(world.alice, "/api/members", "members")[-1]

    page = world.alice.get(f"/dashboard/organization?member={last['personId']}").text

    assert f"/dashboard/organization/members/{last['personId']}/role" in page
    assert f"{MANY + 2} members" in page
