"""Who is asking: a person with a session cookie, or a machine with an access token."""

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.kernel.events import origin, spoken_by

from .models import AccessToken, Membership, Organization, Person, Role, SignInSession
from .scopes import Scope, covers

Proof = TypeVar("Proof", AccessToken, SignInSession)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One who is asking, in one organization; either `session_id` or `token_id` is set."""

    person_id: str
    person_name: str
    person_email: str
    organization_id: str
    organization_name: str
    role: Role
    session_id: str = ""
    token_id: str = ""
    token_name: str = ""
    scopes: tuple[str, ...] = ()

    @property
    def actor(self) -> str:
        """Who did it, as the outbox and the audit log name them."""
        return f"token:{self.token_id}" if self.token_id else f"person:{self.person_id}"

    def may(self, role: Role, scope: Scope | None) -> bool:
        """Whether the role covers what is needed, and a token's scopes do too."""
        if not self.role.covers(role):
            return False
        return not self.token_id or scope is None or covers(list(self.scopes), scope)


def speaking_as(person: Person) -> AbstractContextManager[None]:
    """Name a person who is only coming in as the one behind what is said inside the block."""
    return spoken_by(
        replace(origin(), actor=f"person:{person.id}", name=person.name, email=person.email)
    )


def hash_token(token: str) -> str:
    """The form in which tokens are kept: they are long and random, so one SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_caller(
    session: Session, *, authorization: str, cookie: str, now: datetime
) -> Caller | None:
    """The caller behind a Bearer token or, without one, a session cookie; None if neither holds."""
    kind, _, token = authorization.partition(" ")
    if kind.lower() == "bearer":
        return _by_token(session, token.strip(), now=now)
    return _by_cookie(session, cookie, now=now) if cookie else None


def _by_token(session: Session, token: str, *, now: datetime) -> Caller | None:
    row = session.execute(
        _people(AccessToken).where(
            AccessToken.token_hash == hash_token(token),
            AccessToken.revoked_at.is_(None),
            sa.or_(AccessToken.expires_at.is_(None), AccessToken.expires_at > now),
        )
    ).one_or_none()
    if row is None:
        return None
    found, person, membership, organization = row
    return replace(
        _caller(person, membership, organization),
        token_id=found.id,
        token_name=found.name,
        scopes=tuple(found.scopes),
    )


def _by_cookie(session: Session, cookie: str, *, now: datetime) -> Caller | None:
    row = session.execute(
        _people(SignInSession).where(
            SignInSession.token_hash == hash_token(cookie), SignInSession.expires_at > now
        )
    ).one_or_none()
    if row is None:
        return None
    found, person, membership, organization = row
    return replace(_caller(person, membership, organization), session_id=found.id)


def _people(proof: type[Proof]) -> sa.Select[Proof, Person, Membership, Organization]:
    """What was shown, with its person's present role: removing a member ends both at once."""
    return (
        sa.select(proof, Person, Membership, Organization)
        .join(Person, Person.id == proof.person_id)
        .join(
            Membership,
            sa.and_(
                Membership.person_id == proof.person_id,
                Membership.organization_id == proof.organization_id,
            ),
        )
        .join(Organization, Organization.id == proof.organization_id)
    )


def _caller(person: Person, membership: Membership, organization: Organization) -> Caller:
    return Caller(
        person_id=person.id,
        person_name=person.name,
        person_email=person.email,
        organization_id=organization.id,
        organization_name=organization.name,
        role=Role(membership.role),
    )
