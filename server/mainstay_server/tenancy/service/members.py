"""Members of an organization: who they are, what they may, and leaving."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import (
    OrganizationRenamed,
    PersonJoined,
    PersonRemoved,
    PersonRoleChanged,
)
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Forbidden, NotFound
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import (
    AccessToken,
    Membership,
    Organization,
    Person,
    Role,
    SignInSession,
)

from .backing import revoke_unbacked
from .fields import clean_name


def list_members(
    session: Session, organization_id: str, *, limit: int = DEFAULT_PER_PAGE, cursor: str = ""
) -> Page[sa.Row[Membership, Person]]:
    """An organization's memberships and people, by name."""
    order = (Person.name, Person.email)
    statement = _members(organization_id).order_by(*order).limit(limit + 1)
    after = decode_cursor(cursor, parts=len(order))
    if after is not None:
        statement = statement.where(sa.tuple_(*order) > tuple(map(str, after)))
    found = session.execute(statement).all()
    return page_of(found, limit=limit, key=lambda row: (row[1].name, row[1].email))


def count_members(session: Session, organization_id: str) -> int:
    """How many people an organization has."""
    counted = sa.select(sa.func.count()).where(Membership.organization_id == organization_id)
    return session.scalar(counted) or 0


def find_member(
    session: Session, organization_id: str, person_id: str
) -> sa.Row[Membership, Person] | None:
    """One membership with its person; None when there is none."""
    return session.execute(
        _members(organization_id).where(Membership.person_id == person_id)
    ).one_or_none()


def add_member(
    session: Session, *, organization_id: str, person_id: str, role: Role, now: datetime
) -> None:
    """Make a person a member. Raises `Conflict` for one who is already."""
    if _find(session, organization_id, person_id) is not None:
        raise Conflict("You are a member already; sign in and open the dashboard.")
    session.add(
        Membership(
            id=new_id(),
            organization_id=organization_id,
            person_id=person_id,
            role=role,
            created_at=now,
        )
    )
    session.flush()
    event = PersonJoined(
        organization_id=organization_id,
        person_id=person_id,
        email=session.get_one(Person, person_id).email,
        changes=changes_between({}, {"role": role}),
    )
    say(session, event, now=now)


def change_role(
    session: Session, caller: Caller, person_id: str, role: Role, *, now: datetime
) -> None:
    """Give a member another role; it counts from their next request on.

    Open invitations that they made and could not make any more are revoked.

    Raises:
        NotFound: no such member.
        Forbidden: only owners make owners, or touch them.
        Conflict: it would leave the organization without an owner.
    """
    membership = _get_for_change(session, caller, person_id)
    before = Role(membership.role)
    if role is Role.OWNER and caller.role is not Role.OWNER:
        raise Forbidden("Only an owner can make an owner; ask one.")
    if before is role:
        return
    if before is Role.OWNER:
        _refuse_last_owner(session, caller.organization_id)
    membership.role = role
    session.flush()
    event = PersonRoleChanged(
        organization_id=caller.organization_id,
        person_id=person_id,
        email=session.get_one(Person, person_id).email,
        changes=changes_between({"role": before}, {"role": role}),
    )
    say(session, event, now=now)
    revoke_unbacked(session, caller.organization_id, now=now)


def remove_member(session: Session, caller: Caller, person_id: str, *, now: datetime) -> None:
    """End a membership; sessions, tokens and invitations of it open nothing, also after a return.

    Raises:
        NotFound: no such member.
        Forbidden: only owners remove owners.
        Conflict: it is the last owner.
    """
    membership = _get_for_change(session, caller, person_id)
    if Role(membership.role) is Role.OWNER:
        _refuse_last_owner(session, caller.organization_id)
    session.delete(membership)
    session.execute(
        sa.delete(SignInSession).where(
            SignInSession.person_id == person_id,
            SignInSession.organization_id == caller.organization_id,
        )
    )
    session.execute(
        sa.update(AccessToken)
        .where(
            AccessToken.person_id == person_id,
            AccessToken.organization_id == caller.organization_id,
            AccessToken.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    session.flush()
    event = PersonRemoved(
        organization_id=caller.organization_id,
        person_id=person_id,
        email=session.get_one(Person, person_id).email,
        changes=changes_between({"role": membership.role}, {}),
    )
    say(session, event, now=now)
    revoke_unbacked(session, caller.organization_id, now=now)


def rename_organization(session: Session, caller: Caller, name: str, *, now: datetime) -> str:
    """Give the caller's organization another name; returns it cleaned."""
    organization = session.get_one(Organization, caller.organization_id)
    before, organization.name = organization.name, clean_name(name)
    event = OrganizationRenamed(
        organization_id=organization.id,
        name=organization.name,
        changes=changes_between({"name": before}, {"name": organization.name}),
    )
    say(session, event, now=now)
    return organization.name


def _members(organization_id: str) -> sa.Select[Membership, Person]:
    return (
        sa.select(Membership, Person)
        .join(Person, Person.id == Membership.person_id)
        .where(Membership.organization_id == organization_id)
    )


def _find(session: Session, organization_id: str, person_id: str) -> Membership | None:
    return session.scalar(
        sa.select(Membership).where(
            Membership.organization_id == organization_id, Membership.person_id == person_id
        )
    )


def _get_for_change(session: Session, caller: Caller, person_id: str) -> Membership:
    """A membership that the caller may change, after everybody else who changes one.

    The organization's row is locked: two owners who demote each other at the same moment would
    otherwise both see the other one still there.
    """
    session.execute(
        sa.select(Organization.id)
        .where(Organization.id == caller.organization_id)
        .with_for_update()
    )
    membership = _find(session, caller.organization_id, person_id)
    if membership is None:
        raise NotFound("There is no such member; /api/members lists them.")
    if Role(membership.role) is Role.OWNER and caller.role is not Role.OWNER:
        raise Forbidden("Only an owner can change an owner; ask one.")
    return membership


def _refuse_last_owner(session: Session, organization_id: str) -> None:
    owners = sa.select(sa.func.count()).where(
        Membership.organization_id == organization_id, Membership.role == Role.OWNER
    )
    if session.scalar(owners) == 1:
        raise Conflict("This is the last owner; make somebody else an owner first.")
