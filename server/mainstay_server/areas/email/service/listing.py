"""What was sent, to be looked at: lists, one mail, and how well mail gets through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.email.models import Email, EmailState
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import NotFound
from mainstay_server.tenancy.models import Project

from .addresses import folded

TROUBLE = (EmailState.BOUNCED, EmailState.COMPLAINED, EmailState.FAILED)
MOST_TROUBLES = 5


@dataclass(frozen=True, kw_only=True)
class EmailFilter:
    """Which mails to list; what is None or empty does not filter."""

    state: EmailState | None = None
    text: str = ""
    project_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Health:
    """How mail got through since a moment, and the newest that did not."""

    counts: Mapping[EmailState, int]
    troubles: Sequence[Email]

    @property
    def decided(self) -> int:
        """How many mails were tried to their end."""
        tried = (EmailState.SENT, *TROUBLE)
        return sum(self.counts[state] for state in tried)

    @property
    def bounced_percent(self) -> float | None:
        """Bounces and complaints in percent of what was tried; None without any."""
        bad = self.counts[EmailState.BOUNCED] + self.counts[EmailState.COMPLAINED]
        return bad / self.decided * 100 if self.decided else None


def list_emails(
    session: Session, organization_id: str, chosen: EmailFilter, *, limit: int, cursor: str = ""
) -> Page[Email]:
    """Mails of an organization, newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(Email).where(Email.organization_id == organization_id)
    if chosen.project_id is not None:
        found = found.where(Email.project_id == chosen.project_id)
    if chosen.state is not None:
        found = found.where(Email.state == chosen.state)
    if chosen.text:
        found = found.where(
            sa.or_(
                sa.func.lower(Email.recipient).contains(folded(chosen.text), autoescape=True),
                Email.subject.icontains(chosen.text, autoescape=True),
            )
        )
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(Email.id < str(position[0]))
    rows = session.scalars(found.order_by(Email.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda email: (email.id,))


def get_email(session: Session, organization_id: str, email_id: str) -> Email:
    """One mail. Raises `NotFound` when there is none, or it is another organization's."""
    email = session.get(Email, email_id)
    if email is None or email.organization_id != organization_id:
        raise NotFound("There is no such mail; /api/emails lists yours.")
    return email


def slugs_of(session: Session, organization_id: str) -> dict[str | None, str]:
    """The slugs of an organization's projects by id; "" for mails of none."""
    rows = session.execute(
        sa.select(Project.id, Project.slug).where(Project.organization_id == organization_id)
    )
    return {None: "", **dict(rows.all())}


def health_of(session: Session, project_id: str, *, since: datetime) -> Health:
    """How a project's mail got through since a moment."""
    ours = sa.and_(Email.project_id == project_id, Email.created_at >= since)
    rows = session.execute(
        sa.select(Email.state, sa.func.count()).where(ours).group_by(Email.state)
    )
    counts = dict.fromkeys(EmailState, 0) | {EmailState(state): count for state, count in rows}
    troubles = session.scalars(
        sa.select(Email)
        .where(ours, Email.state.in_(TROUBLE))
        .order_by(Email.id.desc())
        .limit(MOST_TROUBLES)
    ).all()
    return Health(counts=counts, troubles=troubles)


WEEK = timedelta(days=7)
