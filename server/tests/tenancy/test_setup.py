"""The first start, unattended, once and for all; and what processes do at the same moment."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Gone
from mainstay_server.kernel.settings import (
    ServerSettings,
    UnsafeSetting,
    forget_settings,
    override_settings,
)
from mainstay_server.tenancy.callers import Caller, find_caller
from mainstay_server.tenancy.models import (
    Instance,
    Membership,
    OneTimeLink,
    Organization,
    Person,
    Project,
    Role,
)
from mainstay_server.tenancy.scopes import Scope
from mainstay_server.tenancy.service import members, projects
from mainstay_server.tenancy.service.people import Newcomer, create_person
from mainstay_server.tenancy.service.setup import finish_set_up, prepare_first_start
from pydantic import SecretStr
from tests.tenancy.worlds import NOON, a_person, an_organization, database_of

Result = TypeVar("Result")
BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))


@pytest.fixture(params=BOTH)
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    with database_of(request.param, tmp_path):
        yield


@pytest.fixture
def unattended() -> Iterator[None]:
    override_settings(
        ServerSettings(
            bootstrap_email="Ops@Ships.example",
            bootstrap_password=SecretStr("nine ships at anchor"),
            bootstrap_token=SecretStr("a-token-from-the-vault"),
            bootstrap_project="hull-inspections",
        )
    )
    yield
    forget_settings()


def at_once(count: int, act: Callable[[int], Result]) -> list[Result]:
    ready = threading.Barrier(count)

    def begin(n: int) -> Result:
        ready.wait()
        return act(n)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def start(_process: int) -> str | None:
    with transaction() as session:
        return prepare_first_start(session, NOON)


def test_processes_that_start_at_once_prepare_everything_once(
    any_database: None, unattended: None
) -> None:
    assert at_once(4, start) == [None] * 4

    with reading() as session:
        for kind in (Organization, Person, Membership, Project, Instance):
            assert session.scalar(sa.select(sa.func.count()).select_from(kind)) == 1
        caller = find_caller(
            session, authorization="Bearer a-token-from-the-vault", cookie="", now=NOON
        )
        assert caller is not None
        assert caller.person_email == "ops@ships.example"
        assert caller.role is Role.OWNER
        assert set(caller.scopes) == set(Scope)
        assert session.scalar(sa.select(Project.slug)) == "hull-inspections"
    assert start(0) is None


def test_without_anybody_only_the_last_link_opens(any_database: None) -> None:
    override_settings(ServerSettings())

    links = at_once(4, start)

    assert all(link and link.startswith("/set-up/") for link in links)
    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OneTimeLink)) == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(Organization)) == 1
    forget_settings()


def test_a_link_that_was_printed_before_an_unattended_start_lets_nobody_in(
    database: None, unattended: None
) -> None:
    override_settings(ServerSettings())
    printed = start(0)
    assert printed is not None
    override_settings(
        ServerSettings(
            bootstrap_email="ops@ships.example",
            bootstrap_password=SecretStr("nine ships at anchor"),
        )
    )
    assert start(0) is None

    newcomer = Newcomer(email="mallory@ships.example", name="Mallory", password_hash="x")
    token = printed.rpartition("/")[2]
    with pytest.raises(Gone), transaction() as session:
        finish_set_up(session, token, newcomer, organization_name="Pirates", now=NOON)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"bootstrap_password": "password123"}, "first that anybody would try"),
        ({"bootstrap_email": "nobody"}, "e-mail address"),
        ({"bootstrap_project": "Not A Slug"}, "slug"),
        ({"bootstrap_email": "", "bootstrap_password": ""}, "needs an owner"),
    ],
)
def test_an_unattended_start_refuses_what_would_be_unsafe(
    given: dict[str, str], reason: str, database: None
) -> None:
    good = {
        "bootstrap_email": "ops@ships.example",
        "bootstrap_password": "nine ships at anchor",
        "bootstrap_token": "a-token-from-the-vault",
    }
    override_settings(ServerSettings.model_validate({**good, **given}))

    with pytest.raises(UnsafeSetting, match=reason):
        start(0)
    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Organization)) == 0


def test_projects_made_at_once_get_numbers_and_slugs_of_their_own(any_database: None) -> None:
    with transaction() as session:
        organization_id = an_organization(session).id

    def make(_n: int) -> tuple[int, str]:
        with transaction() as session:
            made = projects.create_project(session, organization_id, name="Ships", now=NOON)
            return made.number, made.slug

    made = at_once(8, make)

    assert sorted(number for number, _ in made) == list(range(1, 9))
    assert sorted(slug for _, slug in made) == ["ships", *(f"ships-{n}" for n in range(2, 9))]


def test_two_owners_who_demote_each_other_leave_one(any_database: None) -> None:
    with transaction() as session:
        organization = an_organization(session)
        people = [a_person(session, name, organization, Role.OWNER) for name in ("Ann", "Ben")]

    def demote(n: int) -> bool:
        caller = Caller(
            person_id=people[n].id,
            person_name="",
            person_email="",
            organization_id=organization.id,
            organization_name="",
            role=Role.OWNER,
        )
        try:
            with transaction() as session:
                members.change_role(session, caller, people[1 - n].id, Role.VIEWER, now=NOON)
        except Conflict:
            return False
        return True

    assert sorted(at_once(2, demote)) == [False, True]


def test_of_two_who_claim_one_address_at_once_one_gets_it(any_database: None) -> None:
    def claim(_n: int) -> bool:
        newcomer = Newcomer(email="Dora@ships.example", name="Dora", password_hash="x")
        try:
            with transaction() as session:
                create_person(session, newcomer, now=NOON)
        except Conflict:
            return False
        return True

    assert sorted(at_once(4, claim)) == [False, False, False, True]
