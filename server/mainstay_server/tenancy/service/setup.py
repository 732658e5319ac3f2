"""The first start: an organization, and a way in for its first owner."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import OrganizationCreated, OrganizationRenamed
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.settings import ServerSettings, UnsafeSetting, of
from mainstay_server.tenancy.callers import speaking_as
from mainstay_server.tenancy.models import Organization, Person, Project, Role
from mainstay_server.tenancy.scopes import Scope
from mainstay_server.tenancy.versions import mark_changed

from .fields import clean_name
from .links import SET_UP, join_as_new, new_set_up_link, void_set_up_links
from .members import add_member
from .passwords import hash_password, refuse_weak
from .people import Newcomer, create_person
from .projects import create_project
from .tokens import keep_token

FIRST_ORGANIZATION = "My organization"


def prepare_first_start(session: Session, now: datetime) -> str | None:
    """Make sure that somebody can get in: the path of the set-up page, or None when all is done.

    With nobody there yet, an organization is made; then either the settings name the first owner
    (`MAINSTAY_BOOTSTRAP_…`), or a one-time link is made. Either voids every older link, which may
    stand in some log. Processes that start at the same moment wait for each other at the first
    statement, so it happens once.

    Raises:
        UnsafeSetting: a weak password, an impossible address or slug, a token without an owner.
    """
    mark_changed(session)
    if session.scalar(sa.select(Person.id).limit(1)):
        void_set_up_links(session)
        return None
    try:
        return _prepare(session, now=now)
    except Invalid as problem:
        raise UnsafeSetting(f"MAINSTAY_BOOTSTRAP_…: {problem.detail}") from problem


def _prepare(session: Session, *, now: datetime) -> str | None:
    organization = _first_organization(session, now=now)
    settings = of(ServerSettings)
    if settings.bootstrap_project and not session.scalar(sa.select(Project.id).limit(1)):
        slug = settings.bootstrap_project
        name = slug.replace("-", " ").capitalize()
        create_project(session, organization.id, name=name, slug=slug, now=now)
    if not settings.bootstrap_email:
        if settings.bootstrap_token.get_secret_value():
            raise UnsafeSetting(
                "MAINSTAY_BOOTSTRAP_TOKEN needs an owner; give MAINSTAY_BOOTSTRAP_EMAIL and"
                " MAINSTAY_BOOTSTRAP_PASSWORD too."
            )
        return new_set_up_link(session, organization.id, now=now)
    void_set_up_links(session)
    _bootstrap_owner(session, organization.id, settings, now=now)
    return None


def finish_set_up(
    session: Session, token: str, owner: Newcomer, *, organization_name: str, now: datetime
) -> str:
    """Use the set-up link up: its first owner, and a name for the organization. Returns their id.

    Raises:
        Gone: the link was used or voided.
        Invalid: a field that cannot be.
    """
    person = join_as_new(session, token, SET_UP, owner, now=now)
    organization = _first_organization(session, now=now)
    before = organization.name
    organization.name = clean_name(organization_name, field="organizationName")
    event = OrganizationRenamed(
        organization_id=organization.id,
        name=organization.name,
        changes=changes_between({"name": before}, {"name": organization.name}),
    )
    with speaking_as(person):
        say(session, event, now=now)
    return person.id


def _first_organization(session: Session, *, now: datetime) -> Organization:
    found = session.scalar(sa.select(Organization).order_by(Organization.id).limit(1))
    if found is None:
        found = Organization(id=new_id(), name=FIRST_ORGANIZATION, created_at=now)
        session.add(found)
        session.flush()
        event = OrganizationCreated(
            organization_id=found.id,
            name=found.name,
            changes=changes_between({}, {"name": found.name}),
        )
        say(session, event, now=now)
    return found


def _bootstrap_owner(
    session: Session, organization_id: str, settings: ServerSettings, *, now: datetime
) -> None:
    password = settings.bootstrap_password.get_secret_value()
    refuse_weak(password, email=settings.bootstrap_email, field="MAINSTAY_BOOTSTRAP_PASSWORD")
    newcomer = Newcomer(
        email=settings.bootstrap_email,
        name=settings.bootstrap_email.partition("@")[0],
        password_hash=hash_password(password),
    )
    owner = create_person(session, newcomer, now=now)
    add_member(
        session, organization_id=organization_id, person_id=owner.id, role=Role.OWNER, now=now
    )
    token = settings.bootstrap_token.get_secret_value()
    if token:
        keep_token(
            session,
            token,
            organization_id=organization_id,
            person_id=owner.id,
            name="bootstrap",
            scopes=list(Scope),
            expires_at=None,
            now=now,
        )
