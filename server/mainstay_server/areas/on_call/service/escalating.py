"""Escalations: begun when an alert opens, step by step until somebody takes it, ended with it.

A policy is copied when the alert opens: changing it later changes nothing of what goes on. Every
step is one transaction with what it tells, so a step happens once, whoever is killed when.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.on_call.models import (
    Escalation,
    EscalationLine,
    EscalationState,
    NoticeChange,
)
from mainstay_server.areas.on_call.schemas.policies import StepBody
from mainstay_server.contracts.alerts import (
    AlertAcknowledged,
    AlertChanged,
    AlertOpened,
    AlertResolved,
    acknowledge_alert,
    find_alert,
)
from mainstay_server.contracts.on_call import EscalationAcknowledged, why_alert_is_held
from mainstay_server.kernel.database import insert, made_at, new_id
from mainstay_server.kernel.events import changes_between, say
from mainstay_server.kernel.pagination import (
    DEFAULT_PER_PAGE,
    Page,
    decode_cursor,
    decode_moment,
    page_of,
)
from mainstay_server.kernel.problems import NotFound

from .people import Hand
from .policies import find_policy_for
from .steps import take_step
from .telling import forget_gathered, people_told, tell, write_line

MOST_AT_ONCE = 100
MOST_LINES = 500
KEPT = timedelta(days=400)
MOST_FORGOTTEN = 500
# A round of steps that reach nobody must not come again at once.
LEAST_ROUND = timedelta(minutes=1)
HELD_PAUSE = timedelta(seconds=30)
OPEN = (EscalationState.RUNNING, EscalationState.ACKNOWLEDGED, EscalationState.UNANSWERED)
AlertWord = AlertChanged | AlertAcknowledged


def begin(session: Session, alert: AlertOpened, *, now: datetime) -> Escalation | None:
    """Take the first steps of the policy that holds for an alert; None without one."""
    escalation = _ensure(session, alert, now=now)
    if escalation is not None and escalation.due_at is not None:
        escalation.message, escalation.opened_at = alert.message, alert.opened_at
        _advance(session, escalation, now=now)
    return escalation


def advance_due(session: Session, *, now: datetime) -> int:
    """Take every step whose time has come, of at most 100 escalations; returns how many moved."""
    due = session.scalars(
        sa.select(Escalation)
        .where(Escalation.due_at <= now)
        .order_by(Escalation.due_at)
        .limit(MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for escalation in due:
        if escalation.state == EscalationState.ACKNOWLEDGED:
            _let_go(session, escalation, now=now)
        _advance(session, escalation, now=now)
    return len(due)


def acknowledge(session: Session, escalation: Escalation, hand: Hand, *, now: datetime) -> bool:
    """Somebody takes the alert in hand: no further step; False when it was taken or is over.

    Of two at the same moment one takes it: the row is locked first.
    """
    session.refresh(escalation, with_for_update=True)
    if escalation.state not in (EscalationState.RUNNING, EscalationState.UNANSWERED):
        return False
    before = escalation.state
    minutes = escalation.acknowledge_timeout_minutes
    escalation.state = EscalationState.ACKNOWLEDGED
    escalation.acknowledged_at, escalation.acknowledged_by = now, hand.name
    escalation.due_at = now + timedelta(minutes=minutes) if minutes else None
    runs_out = f" That runs out after {minutes} min." if minutes else ""
    text = f"{hand.name} has acknowledged it {hand.how}.{runs_out}"
    write_line(session, escalation, text, tone="ok", now=now)
    event = EscalationAcknowledged(
        organization_id=escalation.organization_id,
        project_id=escalation.project_id,
        instance_id=escalation.instance_id,
        escalation_id=escalation.id,
        title=escalation.title,
        person=hand.name,
        how=hand.how,
        changes=changes_between({"state": before}, {"state": escalation.state}),
    )
    say(session, event, now=now)
    if acknowledge_alert.is_answered:
        acknowledge_alert(session, escalation.alert_id, by=hand.person_id, name=hand.name, now=now)
    return True


def follow_acknowledgement(session: Session, alert: AlertAcknowledged, *, now: datetime) -> None:
    """The alert was acknowledged elsewhere, such as on its own page: no further step."""
    escalation = _ensure(session, alert, now=now)
    if escalation is not None:
        hand = Hand(person_id=alert.by, name=alert.name or "Somebody", how="on its own page")
        acknowledge(session, escalation, hand, now=now)


def end(session: Session, alert: AlertResolved, *, now: datetime) -> None:
    """The alert is over: no further step, and who was told of it is told so, each once.

    Where another alert took its place, or the end is a quiet one, nobody is told of the end.
    """
    escalation = _ensure(session, alert, now=now)
    if escalation is None or escalation.state == EscalationState.ENDED:
        return
    escalation.state, escalation.due_at, escalation.ended_at = EscalationState.ENDED, None, now
    forget_gathered(session, escalation)
    told = [] if alert.quiet or alert.superseded_by else people_told(session, escalation)
    for person_id in told:
        tell(session, escalation, person_id, NoticeChange.ENDED, now=now)
    text = "Another alert took its place." if alert.superseded_by else "The alert is over."
    if told:
        text += f" {len(told)} {'person was' if len(told) == 1 else 'people were'} told so."
    write_line(session, escalation, text, tone="ok", now=now)


def get_escalation(session: Session, organization_id: str, escalation_id: str) -> Escalation:
    """One escalation of an organization. Raises `NotFound`."""
    found = session.get(Escalation, escalation_id)
    if found is None or found.organization_id != organization_id:
        raise NotFound("There is no such escalation; GET /api/escalations lists yours.")
    return found


def list_escalations(
    session: Session,
    organization_id: str,
    *,
    only_open: bool = False,
    limit: int = DEFAULT_PER_PAGE,
    cursor: str = "",
) -> Page[Escalation]:
    """The escalations of an organization, the newest first."""
    order = (Escalation.opened_at, Escalation.id)
    statement = sa.select(Escalation).where(Escalation.organization_id == organization_id)
    if only_open:
        statement = statement.where(Escalation.state.in_(OPEN))
    after = decode_cursor(cursor, parts=len(order))
    if after is not None:
        position = (decode_moment(after[0]), str(after[1]))
        statement = statement.where(sa.tuple_(*order) < position)
    found = session.scalars(
        statement.order_by(*(each.desc() for each in order)).limit(limit + 1)
    ).all()
    return page_of(found, limit=limit, key=lambda each: (each.opened_at.isoformat(), each.id))


def list_lines(session: Session, escalation: Escalation) -> list[EscalationLine]:
    """What happened in an escalation, the oldest first; the first 500 lines."""
    return list(
        session.scalars(
            sa.select(EscalationLine)
            .where(EscalationLine.escalation_id == escalation.id)
            .order_by(EscalationLine.id)
            .limit(MOST_LINES)
        )
    )


def forget_old(session: Session, *, now: datetime) -> int:
    """Forget escalations that ended over 400 days ago, at most 500 at once; returns how many."""
    old = sa.select(Escalation.id).where(Escalation.ended_at < now - KEPT).limit(MOST_FORGOTTEN)
    gone = session.scalars(
        sa.delete(Escalation).where(Escalation.id.in_(old)).returning(Escalation.id)
    ).all()
    return len(gone)


def steps_of(escalation: Escalation) -> list[StepBody]:
    """The steps as they were when the alert opened."""
    return [StepBody.model_validate(each) for each in escalation.steps]


def _ensure(session: Session, alert: AlertWord, *, now: datetime) -> Escalation | None:
    """The escalation of an alert, locked; made by whichever word of the alert is heard first.

    What is said of one alert may be heard out of order: an end that comes first leaves a row, so
    that the opening wakes nobody afterwards.
    """
    mine = sa.select(Escalation).where(Escalation.alert_id == alert.alert_id).with_for_update()
    found = session.scalar(mine)
    if found is not None:
        return found
    policy = find_policy_for(
        session,
        alert.organization_id,
        alert.project_id,
        alert.instance_id,
        severity=alert.severity,
    )
    is_older = policy is not None and made_at(alert.alert_id) < policy.created_at
    if policy is None or (is_older and not isinstance(alert, AlertOpened)):
        return None
    session.execute(
        insert(Escalation)
        .values(
            id=new_id(),
            organization_id=alert.organization_id,
            project_id=alert.project_id,
            instance_id=alert.instance_id,
            alert_id=alert.alert_id,
            type=alert.type,
            severity=alert.severity,
            title=alert.title,
            message="",
            policy_id=policy.id,
            policy_name=policy.name,
            steps=policy.steps,
            repeat=policy.repeat,
            acknowledge_timeout_minutes=policy.acknowledge_timeout_minutes,
            state=EscalationState.RUNNING,
            round=1,
            position=0,
            due_at=now,
            opened_at=now,
            held="",
            acknowledged_by="",
        )
        .on_conflict_do_nothing()
    )
    return session.scalar(mine)


def _let_go(session: Session, escalation: Escalation, *, now: datetime) -> None:
    """An acknowledgement has run out: it goes on where it stood."""
    text = f"The acknowledgement by {escalation.acknowledged_by} has run out; it goes on."
    escalation.state = EscalationState.RUNNING
    escalation.acknowledged_at, escalation.acknowledged_by = None, ""
    write_line(session, escalation, text, tone="warn", now=now)


def _advance(session: Session, escalation: Escalation, *, now: datetime) -> None:
    """Take the step that comes next, and those after it that need not be waited for.

    Times count from now: what was late is not made up for by waking all at once.
    """
    if escalation.state != EscalationState.RUNNING or _is_over(session, escalation, now=now):
        return
    if _is_held(session, escalation, now=now):
        return
    steps = steps_of(escalation)
    while escalation.state == EscalationState.RUNNING:
        if escalation.position >= len(steps) and not _next_round(session, escalation, now=now):
            return
        step = steps[escalation.position]
        done = take_step(session, escalation, step, now=now)
        name = f"Step {escalation.position + 1}"
        if escalation.round > 1:
            name += f", round {escalation.round}"
        tone = "neutral" if done.reached else "warn"
        write_line(session, escalation, f"{name}: {done.text}", tone=tone, now=now)
        escalation.position += 1
        wait = timedelta(minutes=step.wait_minutes) if done.reached else timedelta()
        if escalation.position >= len(steps):
            wait = max(wait, LEAST_ROUND)
        escalation.due_at = now + wait
        if wait:
            return


def _is_over(session: Session, escalation: Escalation, *, now: datetime) -> bool:
    """Whether the alert is over already and its end not heard yet; then nobody is woken."""
    seen = find_alert(session, escalation.alert_id) if find_alert.is_answered else None
    is_over = seen is not None and seen.ended_at is not None
    if is_over:
        escalation.due_at = now + HELD_PAUSE
    return is_over


def _is_held(session: Session, escalation: Escalation, *, now: datetime) -> bool:
    """Whether something holds the alert back, such as a silence; then it waits where it stands."""
    asked = why_alert_is_held.is_answered
    held = why_alert_is_held(session, escalation.alert_id, now=now)[:300] if asked else ""
    if held != escalation.held:
        text = f"Nobody is told: {held}." if held else "Nothing holds it back any more; it goes on."
        escalation.held = held
        write_line(session, escalation, text, now=now)
    if held:
        escalation.due_at = now + HELD_PAUSE
    return bool(held)


def _next_round(session: Session, escalation: Escalation, *, now: datetime) -> bool:
    """Begin again with the first step; False when all rounds are over."""
    if escalation.round > escalation.repeat:
        escalation.state, escalation.due_at = EscalationState.UNANSWERED, None
        text = "All steps are over, and nobody has acknowledged it."
        write_line(session, escalation, text, tone="critical", now=now)
        return False
    escalation.round, escalation.position = escalation.round + 1, 0
    return True
