"""One-time links: invitations into an organization, and the first set-up."""

import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InvitationCreated
from mainstay_server.kernel.database import new_id, rows_changed
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Forbidden, Gone, NotFound
from mainstay_server.tenancy.callers import Caller, hash_token, speaking_as
from mainstay_server.tenancy.models import OneTimeLink, Organization, Person, Role

from .backing import FACTS, INVITATION, is_backed, say_revoked
from .members import add_member
from .people import Newcomer, create_person

SET_UP = "set-up"
INVITATION_LASTS = timedelta(days=7)
SET_UP_LASTS = timedelta(days=365)
TOKEN_BYTES = 32
MOST_OPEN = 200


def invite(
    session: Session, caller: Caller, role: Role, *, now: datetime
) -> tuple[OneTimeLink, str]:
    """A link by which one person may join within 7 days; returns the row and the path.

    It opens nothing any more once its maker has left or may not give that role any more.

    Raises:
        Forbidden: nobody can give more than they have.
        Conflict: 200 links are open.
    """
    if not caller.role.covers(role):
        raise Forbidden(f"Only an {role} can invite an {role}; choose a lesser role.")
    open_now = list_invitations(session, caller.organization_id, limit=MOST_OPEN, now=now)
    if len(open_now.items) >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} invitations are open; revoke some first.")
    link = OneTimeLink(
        purpose=INVITATION,
        organization_id=caller.organization_id,
        role=role,
        made_by=caller.person_id,
        expires_at=now + INVITATION_LASTS,
    )
    token = _keep(session, link, now=now)
    event = InvitationCreated(
        organization_id=caller.organization_id,
        invitation_id=link.id,
        role=role,
        changes=changes_between({}, facts_of(link, FACTS)),
    )
    say(session, event, now=now)
    return link, f"/join/{token}"


def list_invitations(
    session: Session,
    organization_id: str,
    *,
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
    now: datetime,
) -> Page[sa.Row[OneTimeLink, Person]]:
    """The open invitations with their makers, newest first."""
    statement = (
        sa.select(OneTimeLink, Person)
        .join(Person, Person.id == OneTimeLink.made_by)
        .where(
            OneTimeLink.organization_id == organization_id,
            OneTimeLink.purpose == INVITATION,
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > now,
            is_backed(),
        )
        .order_by(OneTimeLink.id.desc())
        .limit(limit + 1)
    )
    after = decode_cursor(cursor, parts=1)
    if after is not None:
        statement = statement.where(OneTimeLink.id < str(after[0]))
    return page_of(session.execute(statement).all(), limit=limit, key=lambda row: (row[0].id,))


def revoke_invitation(
    session: Session, caller: Caller, invitation_id: str, *, now: datetime
) -> None:
    """Let a link open nothing any more. Raises `NotFound`."""
    revoked = session.scalars(
        sa.delete(OneTimeLink)
        .where(
            OneTimeLink.id == invitation_id,
            OneTimeLink.organization_id == caller.organization_id,
            OneTimeLink.purpose == INVITATION,
            OneTimeLink.used_at.is_(None),
        )
        .returning(OneTimeLink)
    ).one_or_none()
    if revoked is None:
        raise NotFound("There is no such open invitation; /api/invitations lists them.")
    say_revoked(session, revoked, now=now)


def get_link(
    session: Session, token: str, purpose: str, *, now: datetime
) -> tuple[OneTimeLink, Organization]:
    """The open link of a token, and where it leads. Raises `Gone` for any other."""
    row = session.execute(
        sa.select(OneTimeLink, Organization)
        .join(Organization, Organization.id == OneTimeLink.organization_id)
        .where(
            OneTimeLink.token_hash == hash_token(token),
            OneTimeLink.purpose == purpose,
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > now,
            sa.or_(OneTimeLink.purpose != INVITATION, is_backed()),
        )
    ).one_or_none()
    if row is None:
        raise _gone(purpose)
    link, organization = row
    return link, organization


def join_as_new(
    session: Session, token: str, purpose: str, newcomer: Newcomer, *, now: datetime
) -> Person:
    """Use a link up: a new person becomes a member with the role that the link gives.

    Raises:
        Gone: the link was used, revoked or is too old.
        Conflict: the address has an account.
    """
    link = _use_up(session, token, purpose, now=now)
    person = create_person(session, newcomer, now=now)
    with speaking_as(person):
        _become_member(session, link, person.id, now=now)
    return person


def join_as_known(session: Session, token: str, *, person_id: str, now: datetime) -> str:
    """Use an invitation up by somebody who has an account; returns the organization's id.

    Raises:
        Gone: the link was used, revoked or is too old.
        Conflict: they are a member already.
    """
    link = _use_up(session, token, INVITATION, now=now)
    _become_member(session, link, person_id, now=now)
    return link.organization_id


def new_set_up_link(session: Session, organization_id: str, *, now: datetime) -> str:
    """The path of the first set-up; every older such link opens nothing any more."""
    void_set_up_links(session)
    link = OneTimeLink(
        purpose=SET_UP,
        organization_id=organization_id,
        role=Role.OWNER,
        expires_at=now + SET_UP_LASTS,
    )
    return f"/set-up/{_keep(session, link, now=now)}"


def void_set_up_links(session: Session) -> None:
    """Let every set-up link that was ever printed open nothing any more."""
    session.execute(sa.delete(OneTimeLink).where(OneTimeLink.purpose == SET_UP))


def _keep(session: Session, link: OneTimeLink, *, now: datetime) -> str:
    """Keep a new link, of which the database only knows the token's hash; returns the token."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    link.id, link.token_hash, link.created_at = new_id(), hash_token(token), now
    session.add(link)
    session.flush()
    return token


def _use_up(session: Session, token: str, purpose: str, *, now: datetime) -> OneTimeLink:
    """Mark the link as used; of two who open it at once, one statement lets only one through."""
    link, _ = get_link(session, token, purpose, now=now)
    if not rows_changed(
        session,
        sa.update(OneTimeLink)
        .where(OneTimeLink.id == link.id, OneTimeLink.used_at.is_(None))
        .values(used_at=now),
    ):
        raise _gone(purpose)
    return link


def _become_member(session: Session, link: OneTimeLink, person_id: str, *, now: datetime) -> None:
    add_member(
        session,
        organization_id=link.organization_id,
        person_id=person_id,
        role=Role(link.role),
        now=now,
    )


def _gone(purpose: str) -> Gone:
    if purpose == SET_UP:
        return Gone("This link opens nothing any more; the server prints a new one at its start.")
    return Gone("This invitation was used, revoked or is too old; ask for another one.")
