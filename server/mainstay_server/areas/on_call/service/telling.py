"""Telling people of an escalation: one mail for each step and person, and what became of it."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import (
    Escalation,
    EscalationLine,
    EscalationNotice,
    NoticeChange,
    NoticeState,
)
from mainstay_server.areas.on_call.schemas.escalations import EscalationNoticeDue
from mainstay_server.contracts.on_call import AlertEscalated
from mainstay_server.kernel.database import insert, new_id
from mainstay_server.kernel.events import say
from mainstay_server.tenancy.models import Person

from .links import LASTS
from .mails import MOST_TOGETHER

LONGEST_TEXT = 500
MOST_AT_ONCE = 100
# So many in a few minutes are read one by one; what is more is a storm, and read as a list.
ONE_BY_ONE = 5
LATELY = timedelta(minutes=5)
GATHERED_FOR = timedelta(seconds=30)


def write_line(
    session: Session, escalation: Escalation, text: str, *, tone: str = "neutral", now: datetime
) -> None:
    """Write down one thing that happened, and say it to those who keep time lines of alerts."""
    text = text[:LONGEST_TEXT]
    session.add(
        EscalationLine(id=new_id(), escalation_id=escalation.id, at=now, tone=tone, text=text)
    )
    session.flush()
    event = AlertEscalated(
        organization_id=escalation.organization_id,
        project_id=escalation.project_id,
        instance_id=escalation.instance_id,
        alert_id=escalation.alert_id,
        escalation_id=escalation.id,
        text=text,
    )
    say(session, event, now=now)


def tell(
    session: Session,
    escalation: Escalation,
    person_id: str,
    change: NoticeChange,
    *,
    now: datetime,
) -> bool:
    """Have a mail sent to a person, once for each step and round; whether it was not yet.

    Whoever was told of several things a moment ago gets what follows together in one mail.
    """
    is_storm = _told_lately(session, person_id, now=now) >= ONE_BY_ONE
    notice_id = session.scalar(
        insert(EscalationNotice)
        .values(
            id=new_id(),
            escalation_id=escalation.id,
            person_id=person_id,
            change=change,
            # An end is told once, whatever was told before.
            round=escalation.round if change is NoticeChange.OPENED else 0,
            position=escalation.position if change is NoticeChange.OPENED else 0,
            state=NoticeState.GATHERED if is_storm else NoticeState.WAITING,
            carried_by="",
            last_error="",
            created_at=now,
            link_ends_at=now + LASTS,
        )
        .on_conflict_do_nothing()
        .returning(EscalationNotice.id)
    )
    if notice_id is None:
        return False
    if is_storm:
        return True
    _say_due(session, notice_id, escalation.id, person_id, now=now)
    return True


def flush_gathered(session: Session, *, now: datetime) -> int:
    """Have one mail sent to everybody for whom something was gathered; returns how many mails.

    What waits half a minute leaves with all that came meanwhile, at most 100 in one mail; what was
    gathered before the clock was set back leaves at once. Whoever is of several organizations gets
    a mail from each.
    """
    readers = (EscalationNotice.person_id, Escalation.organization_id)
    gathered = (
        sa.select(EscalationNotice)
        .select_from(EscalationNotice)
        .join(Escalation, Escalation.id == EscalationNotice.escalation_id)
        .where(EscalationNotice.state == NoticeState.GATHERED)
    )
    people = session.execute(
        gathered.with_only_columns(*readers)
        .where(
            sa.or_(
                EscalationNotice.created_at <= now - GATHERED_FOR,
                EscalationNotice.created_at > now,
            )
        )
        .distinct()
        .order_by(*readers)
        .limit(MOST_AT_ONCE)
    ).all()
    for person_id, organization_id in people:
        rows = session.scalars(
            gathered.where(
                EscalationNotice.person_id == person_id,
                Escalation.organization_id == organization_id,
            )
            .order_by(EscalationNotice.id)
            .limit(MOST_TOGETHER)
            .with_for_update(of=EscalationNotice, skip_locked=True)
        ).all()
        for row in rows:
            row.state = NoticeState.WAITING
            row.carried_by = rows[0].id if row is not rows[0] else ""
        if rows:
            _say_due(session, rows[0].id, rows[0].escalation_id, person_id, now=now)
    session.flush()
    return len(people)


def gather_again(session: Session, notice_id: str) -> None:
    """Have what a mail was to tell beside a notice told by another one, if that notice is gone.

    A project that is removed takes its notices along, but not those of others in the same mail.
    """
    if session.get(EscalationNotice, notice_id) is not None:
        return
    session.execute(
        sa.update(EscalationNotice)
        .where(
            EscalationNotice.carried_by == notice_id,
            EscalationNotice.state == NoticeState.WAITING,
        )
        .values(state=NoticeState.GATHERED, carried_by="")
    )


def forget_gathered(session: Session, escalation: Escalation) -> None:
    """Tell nobody any more that the alert is open whose mail of it has not left."""
    session.execute(
        sa.delete(EscalationNotice).where(
            EscalationNotice.escalation_id == escalation.id,
            EscalationNotice.change == NoticeChange.OPENED,
            EscalationNotice.state == NoticeState.GATHERED,
        )
    )


def people_told(session: Session, escalation: Escalation) -> list[str]:
    """Whom a mail that the alert is open was written to, each once, by their ids."""
    return list(
        session.scalars(
            sa.select(EscalationNotice.person_id)
            .where(
                EscalationNotice.escalation_id == escalation.id,
                EscalationNotice.change == NoticeChange.OPENED,
            )
            .distinct()
            .order_by(EscalationNotice.person_id)
        )
    )


def record_sent(session: Session, notice_id: str, *, now: datetime) -> None:
    """The mail server took it."""
    _finish(session, notice_id, NoticeState.DELIVERED, "", now=now)


def record_not_sent(session: Session, notice_id: str, *, reason: str, now: datetime) -> None:
    """No try is left: the log of the escalation says who was not reached, and why."""
    notice = _finish(session, notice_id, NoticeState.FAILED, reason, now=now)
    if notice is None:
        return
    escalation = session.get_one(Escalation, notice.escalation_id)
    person = session.get_one(Person, notice.person_id)
    write_line(
        session,
        escalation,
        f"The mail to {person.name} could not be sent: {reason}",
        tone="critical",
        now=now,
    )


def _finish(
    session: Session, notice_id: str, state: NoticeState, error: str, *, now: datetime
) -> EscalationNotice | None:
    notice = session.get(EscalationNotice, notice_id, with_for_update=True)
    if notice is None or notice.state == NoticeState.DELIVERED:
        return None
    session.execute(
        sa.update(EscalationNotice)
        .where(sa.or_(EscalationNotice.id == notice_id, EscalationNotice.carried_by == notice_id))
        .values(state=state, last_error=error[:LONGEST_TEXT], finished_at=now)
    )
    return notice


def _told_lately(session: Session, person_id: str, *, now: datetime) -> int:
    counted = sa.select(sa.func.count()).where(
        EscalationNotice.person_id == person_id, EscalationNotice.created_at > now - LATELY
    )
    return session.scalar(counted) or 0


def _say_due(
    session: Session, notice_id: str, escalation_id: str, person_id: str, *, now: datetime
) -> None:
    due = EscalationNoticeDue(notice_id=notice_id, escalation_id=escalation_id, person_id=person_id)
    say(session, due, now=now)
