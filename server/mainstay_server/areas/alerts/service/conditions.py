"""What others say, as alerts: health, new and returning issues, and the rate of failed requests."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    FLOOD,
    Alert,
    AlertHealthHeard,
    AlertStatus,
    AlertType,
)
from mainstay_server.contracts.errors import IssueOpened, IssueStatusChanged
from mainstay_server.contracts.health_checks import (
    HealthChanged,
    HealthCheckRecovered,
    HealthCheckStopped,
)
from mainstay_server.contracts.requests import RequestCount
from mainstay_server.kernel.database import insert
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

from .firing import Firing, find_active, fire, identity_of, resolve, resolve_each
from .rules import rule_for, rules_for

HOUR = timedelta(hours=1)
ISSUE_ALERTS_STAY = timedelta(hours=24)
ISSUES = {
    AlertType.NEW_ISSUE: "New error",
    AlertType.ISSUE_REGRESSED: "Error came back",
}
MOST_AT_ONCE = 1000
REOPENED = "unresolved"


def record_trouble(
    session: Session, event: HealthChanged, kind: AlertType, *, now: datetime
) -> None:
    """An instance went down or became slow: open that alert in place of the other.

    The other ends at the same moment. People hear of the new state only; whoever does not hear of
    it, because of its severity or a rule that is off, hears that the old one is over.
    """
    instance = _instance_heard(session, event)
    if instance is None:
        return
    down = kind is AlertType.INSTANCE_DOWN
    other = AlertType.INSTANCE_DEGRADED if down else AlertType.INSTANCE_DOWN
    before = find_active(session, instance.id, identity_of(other))
    place = f"{instance.project_slug} {instance.environment}"
    alert_id = fire(
        session,
        instance,
        Firing(
            type=kind,
            title=f"{place} is {'down' if down else 'degraded'}",
            message="\n".join(line for line in (event.reason, event.url) if line),
            supersedes=before.id if before else "",
        ),
        now=now,
    )
    resolve(
        session,
        instance.id,
        identity_of(other),
        resolution="It is down now." if down else "It answers again, but not well.",
        superseded_by=alert_id or "",
        quiet=down and alert_id is None,  # nobody may read "resolved" of an app that is down
        now=now,
    )


def record_recovery(session: Session, event: HealthCheckRecovered, *, now: datetime) -> None:
    """An instance is well again: end whichever alert of its health is active."""
    instance = _instance_heard(session, event)
    if instance is None:
        return
    minutes = round((event.since - event.troubled_since).total_seconds() / 60)
    lasted = f"{minutes} min" if minutes else "less than a minute"
    _end_trouble(session, instance, f"It is healthy again after {lasted}.", now=now)


def record_stop(session: Session, event: HealthCheckStopped, *, now: datetime) -> None:
    """Nobody looks at an instance any more: what was open about it would never end by itself."""
    instance = _instance_heard(session, event)
    if instance is not None:
        _end_trouble(session, instance, f"Its health is not watched now: {event.reason}.", now=now)


def _end_trouble(
    session: Session, instance: InstanceRef, resolution: str, *, now: datetime
) -> None:
    for kind in (AlertType.INSTANCE_DOWN, AlertType.INSTANCE_DEGRADED):
        resolve(session, instance.id, identity_of(kind), resolution=resolution, now=now)


def record_issue(session: Session, event: IssueOpened, kind: AlertType, *, now: datetime) -> None:
    """A new or returning issue: one alert each, up to so many per hour and project, then a digest.

    The limit is the rule's threshold. Beyond it a single alert stands for all that follow: it
    counts them, and is told of once when it begins and once when the flood has ended. Workers that
    run side by side on PostgreSQL may let a few more through than the limit.
    """
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    rule = rule_for(session, instance.project_id, instance.id, kind)
    opened = session.scalar(
        sa.select(sa.func.count()).where(
            Alert.project_id == instance.project_id,
            Alert.type == kind,
            Alert.opened_at > now - HOUR,
            Alert.identity != identity_of(kind, FLOOD),
        )
    )
    if (opened or 0) < rule.threshold:
        firing = Firing(
            type=kind,
            about=event.issue_id,
            title=f"{instance.project_slug} {instance.environment}: {event.title}",
            message=f"{ISSUES[kind]} ({event.level}) in {event.culprit or 'an unknown place'}.",
        )
    else:
        firing = Firing(
            type=kind,
            about=FLOOD,
            title=f"{instance.project_slug} {instance.environment}: many errors at once",
            message=f"{ISSUES[kind]}: more than {rule.threshold:g} in an hour. They are gathered"
            " here until an hour passes without one; the errors page lists them all.",
        )
    fire(session, instance, firing, now=now)


def record_decision(session: Session, event: IssueStatusChanged, *, now: datetime) -> None:
    """Somebody took an issue in hand: its alerts have done their work, and nobody need be told."""
    if event.after == REOPENED:
        return
    wanted = [identity_of(kind, event.issue_id) for kind in ISSUES]
    active = sa.select(Alert.id).where(
        Alert.project_id == event.project_id,
        Alert.identity.in_(wanted),
        Alert.status == AlertStatus.ACTIVE,
    )
    ids = list(session.scalars(active.limit(MOST_AT_ONCE)))
    resolve_each(session, ids, resolution=f"The issue was {event.after}.", quiet=True, now=now)


def settle_issues(session: Session, *, now: datetime) -> int:
    """End floods an hour after their last issue, and quietly what stood for a day.

    Returns how many alerts that were.

    An alert of an issue tells that it happened. Whether it is solved is kept with the issue.
    """
    active = sa.select(Alert.id, Alert.count).where(
        Alert.type.in_(ISSUES), Alert.status == AlertStatus.ACTIVE
    )
    floods = [identity_of(kind, FLOOD) for kind in ISSUES]
    ended = 0
    over = active.where(Alert.identity.in_(floods), Alert.last_seen_at <= now - HOUR)
    for alert_id, count in session.execute(over.limit(MOST_AT_ONCE)).all():
        text = f"It is over: {count} in all, and none for an hour."
        ended += resolve_each(session, [alert_id], resolution=text, quiet=False, now=now)
    old = active.where(
        Alert.identity.not_in(floods),
        Alert.identity.not_like("%:by-hand:%"),
        Alert.opened_at <= now - ISSUE_ALERTS_STAY,
    )
    ids = [alert_id for alert_id, _ in session.execute(old.limit(MOST_AT_ONCE))]
    text = "A day has passed; the issue itself is kept with the errors."
    return ended + resolve_each(session, ids, resolution=text, quiet=True, now=now)


def judge_error_rates(
    session: Session, counts: Mapping[int, Mapping[str, RequestCount]], *, now: datetime
) -> None:
    """Open or end the alerts of failing requests, from counts per window in seconds and instance.

    It opens when the share of errors is above the threshold, over at least the least number of
    requests. It ends when the share has been below for a whole window; that too few requests
    arrive to tell counts as below, since nobody sees an error then.
    """
    suspects = {
        instance_id
        for by_instance in counts.values()
        for instance_id, count in by_instance.items()
        if count.errors
    }
    identity = identity_of(AlertType.HIGH_ERROR_RATE)
    active = session.scalars(
        sa.select(Alert).where(Alert.identity == identity, Alert.status == AlertStatus.ACTIVE)
    ).all()
    by_instance = {alert.instance_id: alert for alert in active}
    for instance_id in sorted(suspects | set(by_instance)):
        instance = find_instance(session, instance_id)
        if instance is not None:
            _judge(session, instance, by_instance.get(instance_id), counts, now=now)


def _judge(
    session: Session,
    instance: InstanceRef,
    active: Alert | None,
    counts: Mapping[int, Mapping[str, RequestCount]],
    *,
    now: datetime,
) -> None:
    kind = AlertType.HIGH_ERROR_RATE
    rule = rules_for(session, instance.project_id, instance.id)[kind]
    count = counts.get(rule.window_seconds, {}).get(instance.id, RequestCount(total=0, errors=0))
    share = 100 * count.errors / count.total if count.total else 0.0
    window = f"{rule.window_seconds // 60} min"
    if rule.enabled and count.total >= rule.minimum_count and share > rule.threshold:
        firing = Firing(
            type=kind,
            title=f"{instance.project_slug} {instance.environment} answers with errors",
            message=f"{share:.1f} % of {count.total} requests failed in the last {window};"
            f" the limit is {rule.threshold:g} %.",
        )
        fire(session, instance, firing, now=now)
    elif active is not None and active.calm_since is None:
        active.calm_since = now
    elif active is not None and _has_lasted(active, rule.window_seconds, now=now):
        resolve(
            session,
            instance.id,
            identity_of(kind),
            resolution=f"At most {rule.threshold:g} % of requests failed for {window}.",
            now=now,
        )


def _has_lasted(alert: Alert, seconds: int, *, now: datetime) -> bool:
    return alert.calm_since is not None and now - alert.calm_since >= timedelta(seconds=seconds)


def _instance_heard(session: Session, event: HealthChanged) -> InstanceRef | None:
    """The instance of a health event; None when it is gone, or a newer state was heard already.

    Events of one subject keep their order within one reaction only. Going down and recovering are
    heard by two, so a first try that failed could otherwise open an alert that nothing ends.
    """
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return None
    heard = session.scalar(
        insert(AlertHealthHeard)
        .values(instance_id=event.instance_id, since=event.since)
        .on_conflict_do_update(
            index_elements=["instance_id"],
            set_={"since": event.since},
            where=AlertHealthHeard.since <= event.since,
        )
        .returning(AlertHealthHeard.instance_id)
    )
    return instance if heard is not None else None
