"""Telling: what each channel knows of each alert, and what it is told next.

Every step happens in one transaction that holds the row of its group, so that of two workers one
waits for the other. What leaves is written with it, and carried out by the outbox: a process killed
at any moment neither loses a message nor sends it twice under two keys.
"""

from collections.abc import Mapping, Sequence
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
from mainstay_server.areas.alerts.service.stepping import gathering
from mainstay_server.kernel.batching import batched
from mainstay_server.kernel.database import new_id

from .advancing import Held, Listener, advance
from .choosing import Verdict, judge
from .ground import Ground, read_ground
from .holding import Joined, hold_groups
from .pacing import (
    DEFAULT_GROUP_BY,
    ending_due,
    group_key,
    opening_due,
)

# With at most a thousand alerts of each, no statement has more parameters than SQLite takes.
MOST_AT_ONCE = 25
HEARD = sa.or_(AlertTelling.state == TellingState.TOLD, AlertTelling.follows)
STANDS = sa.and_(HEARD, AlertTelling.ending == Ending.LASTS)


def announce(session: Session, alert: Alert, *, now: datetime) -> None:
    """Write down who hears of an alert, and tell those who need not wait."""
    ground = read_ground(session, alert.project_id)
    about = (alert.instance_id, Severity(alert.severity))
    verdicts = judge(alert.labels, about, ground.routes, ground.ears)
    # In one order for all, so that no two workers wait for each other.
    listeners = [
        Listener(ground, verdict.ear, verdict.route)
        for verdict in sorted(verdicts, key=_channel)
        if verdict.hears
    ]
    for some in batched(listeners, MOST_AT_ONCE):
        _announce_to(session, alert, some, now=now)


def _announce_to(
    session: Session, alert: Alert, listeners: Sequence[Listener], *, now: datetime
) -> None:
    heard = _heard_of(session, alert.supersedes, [one.ear.id for one in listeners])
    waiting = []
    for one in _join(session, alert, listeners, now=now):
        reason = one.listener.why_held(session, alert, now=now)
        telling = AlertTelling(
            id=new_id(),
            alert_id=alert.id,
            channel_id=one.group.channel_id,
            group_id=one.group.id,
            state=TellingState.HELD if reason else TellingState.WAITING,
            ending=Ending.LASTS,
            reason=reason,
            follows=one.group.channel_id in heard,
            repeats=0,
            created_at=now,
        )
        session.add(telling)
        if not reason:
            _let_wait(one, now=now)
            waiting.append(one)
    advance(session, waiting, now=now)


def conclude(
    session: Session, alert: Alert, *, superseded_by: str = "", quiet: bool = False, now: datetime
) -> None:
    """Write down who hears that an alert is over: exactly those who heard of its beginning.

    Whoever is told of the alert that took its place is not told of the end as well: one message
    per change. Nobody is told of a quiet end.
    """
    ground = read_ground(session, alert.project_id)
    lasts = sa.and_(AlertTelling.alert_id == alert.id, AlertTelling.ending == Ending.LASTS)
    for some in batched(_tellings(session, lasts), MOST_AT_ONCE):
        held = _held(session, ground, some)
        instead = _told_instead(session, superseded_by, list(held))
        concerned, told = [], set()
        for telling in _again(session, some, lasts):
            one = held[telling.channel_id]
            heard = telling.state == TellingState.TOLD or telling.follows
            if telling.state in (TellingState.WAITING, TellingState.HELD):
                telling.state, telling.reason = TellingState.DROPPED, ""
            spared = quiet or telling.channel_id in instead
            is_told = heard and not spared and one.listener.ear.enabled
            telling.ending = Ending.WAITING if is_told else Ending.OVER
            concerned.append(one)
            if is_told:
                told.add(one.group.id)
        _settle_ends(session, concerned, told, now=now)
        advance(session, concerned, now=now)


def flush_group(session: Session, group_id: str, *, now: datetime) -> bool:
    """Tell what is due of a group; False when another worker does so, or has."""
    group = session.scalar(
        sa.select(AlertGroup)
        .where(AlertGroup.id == group_id, AlertGroup.due_at <= now)
        .with_for_update(skip_locked=True)
    )
    if group is None:
        return False
    if gathering.is_of_steps(group):
        gathering.tell_gathered(session, group, now=now)
        return True
    ground = read_ground(session, group.project_id)
    advance(session, [Held(group, _listener(ground, group))], now=now)
    return True


def recheck(session: Session, alert: Alert, *, now: datetime) -> None:
    """Tell of an active alert what was held back, where nothing holds it back any more."""
    ground = read_ground(session, alert.project_id)
    is_held = sa.and_(AlertTelling.alert_id == alert.id, AlertTelling.state == TellingState.HELD)
    for some in batched(_tellings(session, is_held), MOST_AT_ONCE):
        held = _held(session, ground, some)
        waiting = []
        for telling in _again(session, some, is_held):
            one = held[telling.channel_id]
            telling.reason = one.listener.why_held(session, alert, now=now)
            if not telling.reason:
                telling.state = TellingState.WAITING
                _let_wait(one, now=now)
                waiting.append(one)
        advance(session, waiting, now=now)


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
    return channel_id in _told_instead(session, alert_id, [channel_id])


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


def _join(
    session: Session, alert: Alert, listeners: Sequence[Listener], *, now: datetime
) -> list[Held]:
    """The group of an alert for each of its channels, made where it is the first; all held."""
    joined = []
    for one in listeners:
        key, labels = group_key(alert.labels, one.route.group_by if one.route else DEFAULT_GROUP_BY)
        joined.append(
            Joined(
                project_id=alert.project_id,
                channel_id=one.ear.id,
                route_id=one.route.id if one.route else "",
                key=key,
                labels=labels,
            )
        )
    groups = hold_groups(session, joined, now=now)
    return [Held(groups[one.ear.id], one) for one in listeners]


def _tellings(session: Session, which: sa.ColumnElement[bool]) -> Sequence[AlertTelling]:
    """Those of one alert, in the order in which everybody locks their groups."""
    rows = sa.select(AlertTelling).where(which).order_by(AlertTelling.channel_id)
    return session.scalars(rows).all()


def _again(
    session: Session, tellings: Sequence[AlertTelling], which: sa.ColumnElement[bool]
) -> Sequence[AlertTelling]:
    """The tellings that are still so, read again after their groups were locked."""
    ids = [telling.id for telling in tellings]
    rows = sa.select(AlertTelling).where(AlertTelling.id.in_(ids), which)
    rows = rows.order_by(AlertTelling.channel_id).execution_options(populate_existing=True)
    return session.scalars(rows).all()


def _held(session: Session, ground: Ground, tellings: Sequence[AlertTelling]) -> Mapping[str, Held]:
    """The groups of tellings of one alert, locked in the order of channels, by channel."""
    groups = session.scalars(
        sa.select(AlertGroup)
        .where(AlertGroup.id.in_([telling.group_id for telling in tellings]))
        .order_by(AlertGroup.channel_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {group.channel_id: Held(group, _listener(ground, group)) for group in groups}


def _listener(ground: Ground, group: AlertGroup) -> Listener:
    ear = ground.ear(group.channel_id)
    assert ear is not None, "a group goes with its channel"
    return Listener(ground, ear, ground.route(group.route_id))


def _heard_of(session: Session, alert_id: str, channel_ids: Sequence[str]) -> set[str]:
    """The channels that know of an alert and have not heard of its end."""
    if not alert_id:
        return set()
    found = sa.select(AlertTelling.channel_id).where(
        AlertTelling.alert_id == alert_id, AlertTelling.channel_id.in_(channel_ids), STANDS
    )
    return set(session.scalars(found))


def _told_instead(session: Session, alert_id: str, channel_ids: Sequence[str]) -> set[str]:
    """The channels that were told, or wait to be told, of the alert that took another's place."""
    if not alert_id:
        return set()
    found = sa.select(AlertTelling.channel_id).where(
        AlertTelling.alert_id == alert_id,
        AlertTelling.channel_id.in_(channel_ids),
        AlertTelling.state.in_((TellingState.TOLD, TellingState.WAITING)),
    )
    return set(session.scalars(found))


def _let_wait(held: Held, *, now: datetime) -> None:
    group = held.group
    group.opens_due_at = opening_due(
        told_at=group.told_at,
        waiting_until=group.opens_due_at,
        pace=held.listener.pace,
        now=now,
    )


def _settle_ends(session: Session, held: Sequence[Held], told: set[str], *, now: datetime) -> None:
    """Say when the ends that wait in groups are told; `told` are the groups with one more."""
    session.flush()
    stands = sa.select(AlertTelling.group_id).where(
        AlertTelling.group_id.in_([one.group.id for one in held]), STANDS
    )
    standing = set(session.scalars(stands.distinct()))
    for one in held:
        group = one.group
        if group.id in told or group.ends_due_at is not None:
            group.ends_due_at = ending_due(
                others_stand=one.listener.ear.gathers and group.id in standing,
                waiting_until=group.ends_due_at,
                pace=one.listener.pace,
                now=now,
            )
