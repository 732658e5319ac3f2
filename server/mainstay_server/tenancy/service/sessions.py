"""Sign-in sessions: opened, listed, ended, and moved to another organization."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import (
    PersonSessionsEnded,
    PersonSignedIn,
    PersonSignedOut,
)
from mainstay_server.kernel.database import new_id, rows_changed
from mainstay_server.kernel.events import say
from mainstay_server.kernel.pagination import (
    DEFAULT_PER_PAGE,
    Page,
    decode_cursor,
    decode_moment,
    page_of,
)
from mainstay_server.kernel.problems import Forbidden, NotFound
from mainstay_server.tenancy.callers import Caller, hash_token
from mainstay_server.tenancy.models import Membership, Organization, SignInSession

MOST_ADDRESSES = 1000
LASTS = timedelta(days=30)
TOKEN_BYTES = 32
MOST_LISTED = 200
LONGEST_ADDRESS = 64
LONGEST_CLIENT = 300


def open_session(
    session: Session,
    *,
    person_id: str,
    organization_id: str,
    address: str,
    client: str,
    now: datetime,
) -> str:
    """Open a session for 30 days; returns the cookie's value, of which only a digest is kept."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.execute(sa.delete(SignInSession).where(SignInSession.expires_at <= now))
    session.add(
        SignInSession(
            id=new_id(),
            person_id=person_id,
            organization_id=organization_id,
            token_hash=hash_token(token),
            created_at=now,
            last_seen_at=now,
            expires_at=now + LASTS,
            address=address[:LONGEST_ADDRESS],
            client=client[:LONGEST_CLIENT],
        )
    )
    session.flush()
    return token


def list_sessions(
    session: Session,
    caller: Caller,
    *,
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
    now: datetime,
) -> Page[SignInSession]:
    """The caller's own open sessions, last seen first."""
    order = (SignInSession.last_seen_at, SignInSession.id)
    statement = (
        sa.select(SignInSession)
        .where(SignInSession.person_id == caller.person_id, SignInSession.expires_at > now)
        .order_by(*(column.desc() for column in order))
        .limit(limit + 1)
    )
    after = decode_cursor(cursor, parts=len(order))
    if after is not None:
        position = (decode_moment(after[0]), str(after[1]))
        statement = statement.where(sa.tuple_(*order) < position)
    return page_of(
        session.scalars(statement).all(),
        limit=limit,
        key=lambda one: (one.last_seen_at.isoformat(), one.id),
    )


def end_session(session: Session, caller: Caller, session_id: str, *, now: datetime) -> None:
    """Sign out one of the caller's own browsers. Raises `NotFound` for any other."""
    own = sa.delete(SignInSession).where(
        SignInSession.id == session_id, SignInSession.person_id == caller.person_id
    )
    if not rows_changed(session, own):
        raise NotFound("You have no such session; list them to see which there are.")
    _say_ended(session, caller, 1, now=now)


def end_other_sessions(session: Session, caller: Caller, *, now: datetime) -> int:
    """Sign out all of the caller's browsers but this one; returns how many."""
    ended = rows_changed(
        session,
        sa.delete(SignInSession).where(
            SignInSession.person_id == caller.person_id, SignInSession.id != caller.session_id
        ),
    )
    if ended:
        _say_ended(session, caller, ended, now=now)
    return ended


def sign_out(session: Session, caller: Caller, *, now: datetime) -> None:
    """End this very session."""
    session.execute(sa.delete(SignInSession).where(SignInSession.id == caller.session_id))
    event = PersonSignedOut(
        organization_id=caller.organization_id,
        person_id=caller.person_id,
        email=caller.person_email,
    )
    say(session, event, now=now)


def list_organizations(session: Session, caller: Caller) -> Sequence[sa.Row[str, str, str]]:
    """Id, name and the caller's role of every organization they are in, by name, at most 200."""
    return session.execute(
        sa.select(Organization.id, Organization.name, Membership.role)
        .join(Membership, Membership.organization_id == Organization.id)
        .where(Membership.person_id == caller.person_id)
        .order_by(Organization.name, Organization.id)
        .limit(MOST_LISTED)
    ).all()


def switch_organization(
    session: Session, caller: Caller, organization_id: str, *, now: datetime
) -> None:
    """Let this browser act in another organization of the same person.

    Raises:
        NotFound: the person is in no such organization.
        Forbidden: a token belongs to one organization for good.
    """
    if not caller.session_id:
        raise Forbidden("A token belongs to one organization; make another one there.")
    if organization_id not in {row[0] for row in list_organizations(session, caller)}:
        raise NotFound("You are in no such organization; /api/me lists yours.")
    session.get_one(SignInSession, caller.session_id).organization_id = organization_id
    event = PersonSignedIn(
        organization_id=organization_id,
        person_id=caller.person_id,
        email=caller.person_email,
        way="another organization",
    )
    say(session, event, now=now)


def _say_ended(session: Session, caller: Caller, count: int, *, now: datetime) -> None:
    event = PersonSessionsEnded(
        organization_id=caller.organization_id,
        person_id=caller.person_id,
        email=caller.person_email,
        count=count,
    )
    say(session, event, now=now)


def addresses_signed_in(session: Session, organization_id: str) -> Sequence[str]:
    """The addresses from which people of an organization are signed in, at most 1,000."""
    return session.scalars(
        sa.select(SignInSession.address)
        .where(SignInSession.organization_id == organization_id, SignInSession.address != "")
        .distinct()
        .limit(MOST_ADDRESSES)
    ).all()
