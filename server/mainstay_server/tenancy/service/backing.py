"""Backing: an invitation opens only as long as its maker may give what it gives."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.contracts.tenancy import InvitationRevoked
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.tenancy.models import Membership, OneTimeLink, Role

INVITATION = "invitation"
MAY_INVITE = Role.ADMIN
FACTS = ("role", "expires_at")

_RANKS = {role: role.rank for role in Role}


def is_backed() -> sa.ColumnElement[bool]:
    """Whether the maker of an invitation is still a member who may make it.

    Asked when it is used, and not only when a role changes: a link that is being made at the very
    moment in which its maker is removed opens nothing either.
    """
    rank = sa.case(_RANKS, value=Membership.role)
    return sa.exists().where(
        Membership.organization_id == OneTimeLink.organization_id,
        Membership.person_id == OneTimeLink.made_by,
        rank >= MAY_INVITE.rank,
        rank >= sa.case(_RANKS, value=OneTimeLink.role),
    )


def revoke_unbacked(session: Session, organization_id: str, *, now: datetime) -> None:
    """Revoke the open invitations of those who may not give that any more, and say so of each."""
    revoked = session.scalars(
        sa.delete(OneTimeLink)
        .where(
            OneTimeLink.organization_id == organization_id,
            OneTimeLink.purpose == INVITATION,
            OneTimeLink.used_at.is_(None),
            sa.not_(is_backed()),
        )
        .returning(OneTimeLink)
        .execution_options(synchronize_session=False)
    ).all()
    for link in sorted(revoked, key=lambda link: link.id):
        say_revoked(session, link, now=now)


def say_revoked(session: Session, link: OneTimeLink, *, now: datetime) -> None:
    """Say that a link opens nothing any more."""
    event = InvitationRevoked(
        organization_id=link.organization_id,
        invitation_id=link.id,
        role=link.role,
        changes=changes_between(facts_of(link, FACTS), {}),
    )
    say(session, event, now=now)
