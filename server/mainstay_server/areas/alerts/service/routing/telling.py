"""Telling: what each channel knows of each alert, and what it is told next.

Every step happens in one transaction that holds the row of its group, so that of two workers one
waits for the other. What leaves is written with it, and carried out by the outbox: a process killed
at any moment neither loses a message nor sends it twice under two keys.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertNotification,
    Change,
    Severity,
)
from mainstay_server.areas.alerts.models.routing import (
    AlertGroup,
    AlertTelling,
    Ending,
    TellingState,
)
from mainstay_server.kernel.database import insert, new_id

from .advancing import Listener, advance
from .choosing import Verdict, judge
from .ground import Ground, read_ground
from .pacing import (
    DEFAULT_GROUP_BY,
    ending_due,
    group_key,
    opening_due,
)

HEARD = sa.or_(AlertTelling.state == TellingState.TOLD, AlertTelling.follows)
STANDS = sa.and_(HEARD, AlertTelling.ending == Ending.LASTS)


def announce(session: Session, alert: Alert, *, now: datetime) -> None:
    """Write down who hears of an alert, and tell those who need not wait."""
    ground = read_ground(session, alert.project_id)
    about = (alert.instance_id, Severity(alert.severity))
    # In one order for all, so that no two workers wait for each other.
    verdicts = sorted(judge(alert.labels, about, ground.routes, ground.ears), key=_channel)
    for verdict in verdicts:
        if not verdict.hears:
            continue
        listener = Listener(ground, verdict.ear, verdict.route)
        group = _join(session, alert, listener, now=now)
        reason = listener.why_held(session, alert, now=now)
        telling = AlertTelling(
            id=new_id(),
            alert_id=alert.id,
            channel_id=verdict.ear.id,
            group_id=group.id,
            state=TellingState.HELD if reason else TellingState.WAITING,
            ending=Ending.LASTS,
            reason=reason,
            follows=_heard_of(session, alert.supersedes, verdict.ear.id),
            repeats=0,
            created_at=now,
        )
        session.add(telling)
        session.flush()
        if not reason:
            _let_wait(group, listener, now=now)
            advance(session, group, listener, now=now)


def conclude(
    session: Session, alert: Alert, *, superseded_by: str = "", quiet: bool = False, now: datetime
) -> None:
    """Write down who hears that an alert is over: exactly those who heard of its beginning.

    Whoever is told of the alert that took its place is not told of the end as well: one message
    per change. Nobody is told of a quiet end.
    """
    found = session.scalars(
        sa.select(AlertTelling)
        .where(AlertTelling.alert_id == alert.id)
        .order_by(AlertTelling.channel_id)
    ).all()
    if not found:
        return
    ground = read_ground(session, alert.project_id)
    for telling in found:
        group = _locked(session, telling.group_id)
        session.refresh(telling)
        if telling.ending != Ending.LASTS:
            continue
        listener = _listener(ground, group)
        heard = telling.state == TellingState.TOLD or telling.follows
        if telling.state in (TellingState.WAITING, TellingState.HELD):
            telling.state, telling.reason = TellingState.DROPPED, ""
        spared = quiet or is_told_instead(session, superseded_by, telling.channel_id)
        is_told = heard and not spared and listener.ear.enabled
        telling.ending = Ending.WAITING if is_told else Ending.OVER
        session.flush()
        _settle_ends(session, group, listener, is_told=is_told, now=now)
        advance(session, group, listener, now=now)


def flush_group(session: Session, group_id: str, *, now: datetime) -> bool:
    """Tell what is due of a group; False when another worker does so, or has."""
    group = session.scalar(
        sa.select(AlertGroup)
        .where(AlertGroup.id == group_id, AlertGroup.due_at <= now)
        .with_for_update(skip_locked=True)
    )
    if group is None:
        return False
    ground = read_ground(session, group.project_id)
    advance(session, group, _listener(ground, group), now=now)
    return True


def recheck(session: Session, alert: Alert, *, now: datetime) -> None:
    """Tell of an active alert what was held back, where nothing holds it back any more."""
    held = session.scalars(
        sa.select(AlertTelling)
        .where(AlertTelling.alert_id == alert.id, AlertTelling.state == TellingState.HELD)
        .order_by(AlertTelling.channel_id)
    ).all()
    ground = read_ground(session, alert.project_id)
    for telling in held:
        group = _locked(session, telling.group_id)
        session.refresh(telling)
        listener = _listener(ground, group)
        if telling.state != TellingState.HELD:
            continue
        telling.reason = listener.why_held(session, alert, now=now)
        if not telling.reason:
            telling.state = TellingState.WAITING
            session.flush()
            _let_wait(group, listener, now=now)
            advance(session, group, listener, now=now)


def would_change(
    session: Session,
    ground: Ground,
    alert: Alert,
    telling: AlertTelling,
    group: AlertGroup,
    *,
    now: datetime,
) -> bool:
    """Whether looking again at what is held would find another reason, or none."""
    return _listener(ground, group).why_held(session, alert, now=now) != telling.reason


def is_told_instead(session: Session, alert_id: str, channel_id: str) -> bool:
    """Whether a channel was told, or waits to be told, of the alert that took another's place."""
    if not alert_id:
        return False
    found = sa.select(AlertTelling.id).where(
        AlertTelling.alert_id == alert_id,
        AlertTelling.channel_id == channel_id,
        AlertTelling.state.in_((TellingState.TOLD, TellingState.WAITING)),
    )
    return session.scalar(found) is not None


def hears_end(session: Session, alert: Alert, channel_id: str) -> bool:
    """Whether a channel was told, or waits to be told, that an alert is over."""
    waits = sa.select(AlertTelling.id).where(
        AlertTelling.alert_id == alert.id,
        AlertTelling.channel_id == channel_id,
        AlertTelling.ending == Ending.WAITING,
    )
    told = sa.select(AlertNotification.id).where(
        AlertNotification.alert_id == alert.id,
        AlertNotification.channel_id == channel_id,
        AlertNotification.change == Change.RESOLVED,
    )
    return bool(session.scalar(sa.select(sa.or_(sa.exists(waits), sa.exists(told)))))


def _channel(verdict: Verdict) -> str:
    return verdict.ear.id


def _join(session: Session, alert: Alert, listener: Listener, *, now: datetime) -> AlertGroup:
    """The group of an alert for a channel, made when it is the first; held until the commit."""
    route = listener.route
    key, labels = group_key(alert.labels, route.group_by if route else DEFAULT_GROUP_BY)
    group_id = session.scalars(
        insert(AlertGroup)
        .values(
            id=new_id(),
            project_id=alert.project_id,
            channel_id=listener.ear.id,
            route_id=route.id if route else "",
            key=key,
            labels=labels,
            touched_at=now,
        )
        .on_conflict_do_update(
            index_elements=["channel_id", "route_id", "key"], set_={"touched_at": now}
        )
        .returning(AlertGroup.id)
    ).one()
    return _locked(session, group_id)


def _locked(session: Session, group_id: str) -> AlertGroup:
    return session.get_one(AlertGroup, group_id, with_for_update=True, populate_existing=True)


def _listener(ground: Ground, group: AlertGroup) -> Listener:
    ear = ground.ear(group.channel_id)
    assert ear is not None, "a group goes with its channel"
    return Listener(ground, ear, ground.route(group.route_id))


def _heard_of(session: Session, alert_id: str, channel_id: str) -> bool:
    """Whether a channel knows of an alert and has not heard of its end."""
    if not alert_id:
        return False
    found = sa.select(AlertTelling.id).where(
        AlertTelling.alert_id == alert_id, AlertTelling.channel_id == channel_id, STANDS
    )
    return session.scalar(found) is not None


def _let_wait(group: AlertGroup, listener: Listener, *, now: datetime) -> None:
    group.opens_due_at = opening_due(
        told_at=group.told_at, waiting_until=group.opens_due_at, pace=listener.pace, now=now
    )


def _settle_ends(
    session: Session, group: AlertGroup, listener: Listener, *, is_told: bool, now: datetime
) -> None:
    """Say when the ends that wait in a group are told."""
    stands = sa.select(AlertTelling.id).where(AlertTelling.group_id == group.id, STANDS).limit(1)
    others_stand = listener.ear.gathers and session.scalar(stands) is not None
    if is_told or group.ends_due_at is not None:
        group.ends_due_at = ending_due(
            others_stand=others_stand,
            waiting_until=group.ends_due_at,
            pace=listener.pace,
            now=now,
        )
