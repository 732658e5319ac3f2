"""New and returning issues, as alerts: one each, and one in place of many when they flood in."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import FLOOD, Alert, AlertStatus, AlertType
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve_each
from mainstay_server.areas.alerts.service.rules import rule_for
from mainstay_server.contracts.errors import IssueOpened, IssueStatusChanged
from mainstay_server.tenancy.subjects import find_instance

HOUR = timedelta(hours=1)
ISSUE_ALERTS_STAY = timedelta(hours=24)
ISSUES = {
    AlertType.NEW_ISSUE: "New error",
    AlertType.ISSUE_REGRESSED: "Error came back",
}
MOST_AT_ONCE = 1000
REOPENED = "unresolved"


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
