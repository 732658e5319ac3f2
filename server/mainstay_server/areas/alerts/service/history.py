"""What was: lists of alerts and of tellings, figures over them, and forgetting the old."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    AlertStatus,
    AlertType,
    Change,
    NotificationState,
    Severity,
)
from mainstay_server.kernel.database import rows_changed
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.tenancy.models import Person

MOST_FORGOTTEN_AT_ONCE = 10_000
MOST_ACTIVE_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class AlertFilter:
    """Which alerts to list; what is None does not filter. `text` is searched in the title."""

    active: bool | None = None
    acknowledged: bool | None = None
    kind: AlertType | None = None
    severity: Severity | None = None
    text: str = ""
    resolved_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """How the telling of one alert stands, over all of its changes and channels."""

    delivered: int = 0
    waiting: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """How many messages there are about the alert."""
        return self.delivered + self.waiting + self.failed


def list_alerts(
    session: Session,
    instance_ids: Sequence[str],
    chosen: AlertFilter,
    *,
    limit: int,
    cursor: str = "",
) -> Page[Alert]:
    """Alerts of some instances, newest first. Raises `Invalid` for a strange cursor."""
    found = sa.select(Alert).where(Alert.instance_id.in_(instance_ids))
    if chosen.active is not None:
        wanted = AlertStatus.ACTIVE if chosen.active else AlertStatus.RESOLVED
        found = found.where(Alert.status == wanted)
    if chosen.acknowledged is not None:
        found = found.where(Alert.acknowledged_at.is_not(None) == chosen.acknowledged)
    if chosen.kind is not None:
        found = found.where(Alert.type == chosen.kind)
    if chosen.severity is not None:
        found = found.where(Alert.severity.in_(chosen.severity.equals))
    if chosen.text:
        found = found.where(Alert.title.icontains(chosen.text, autoescape=True))
    if chosen.resolved_since is not None:
        found = found.where(Alert.resolved_at >= chosen.resolved_since)
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(Alert.id < str(position[0]))
    # Ids are UUIDv7, so their order is that of opening.
    rows = session.scalars(found.order_by(Alert.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit=limit, key=lambda alert: (alert.id,))


def active_alerts(session: Session, instance_id: str) -> Sequence[Alert]:
    """An instance's active alerts, the gravest first, then the newest; at most 20."""
    rank = sa.case({severity: severity.rank for severity in Severity}, value=Alert.severity)
    return session.scalars(
        sa.select(Alert)
        .where(Alert.instance_id == instance_id, Alert.status == AlertStatus.ACTIVE)
        .order_by(rank.desc(), Alert.id.desc())
        .limit(MOST_ACTIVE_SHOWN)
    ).all()


def count_active(session: Session, instance_ids: Sequence[str]) -> dict[str, dict[Severity, int]]:
    """How many alerts are active, by instance and severity; zeros included."""
    counts = {id_: dict.fromkeys(Severity, 0) for id_ in instance_ids}
    rows = session.execute(
        sa.select(Alert.instance_id, Alert.severity, sa.func.count())
        .where(Alert.instance_id.in_(instance_ids), Alert.status == AlertStatus.ACTIVE)
        .group_by(Alert.instance_id, Alert.severity)
    )
    for instance_id, severity, count in rows:
        counts[instance_id][Severity(severity)] = count
    return counts


def deliveries_of(session: Session, alert_ids: Sequence[str]) -> dict[str, Deliveries]:
    """How the telling of each alert stands; alerts that nobody is told of are absent."""
    rows = session.execute(
        sa.select(AlertNotification.alert_id, AlertNotification.state, sa.func.count())
        .where(AlertNotification.alert_id.in_(alert_ids))
        .group_by(AlertNotification.alert_id, AlertNotification.state)
    )
    found: dict[str, dict[str, int]] = {}
    for alert_id, state, count in rows:
        found.setdefault(str(alert_id), {})[str(state)] = count
    return {alert_id: Deliveries(**states) for alert_id, states in found.items()}


def list_notifications(
    session: Session,
    project_id: str,
    *,
    state: NotificationState | None = None,
    channel_id: str = "",
    limit: int,
    cursor: str = "",
) -> Page[tuple[AlertNotification, AlertChannel, Alert | None]]:
    """A project's tellings, newest first, each with its channel and alert (None for a test)."""
    found = (
        sa.select(AlertNotification, AlertChannel, Alert)
        .join(AlertChannel, AlertChannel.id == AlertNotification.channel_id)
        .outerjoin(Alert, Alert.id == AlertNotification.alert_id)
        .where(AlertChannel.project_id == project_id, AlertNotification.carried_by == "")
    )
    if state is not None:
        found = found.where(AlertNotification.state == state)
    if channel_id:
        found = found.where(AlertNotification.channel_id == channel_id)
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        found = found.where(AlertNotification.id < str(position[0]))
    rows = session.execute(found.order_by(AlertNotification.id.desc()).limit(limit + 1)).all()
    triples = [(notification, channel, alert) for notification, channel, alert in rows]
    return page_of(triples, limit=limit, key=lambda triple: (triple[0].id,))


def carried_counts(session: Session, notification_ids: Sequence[str]) -> dict[str, int]:
    """How many further alerts each message tells of; those about one alert only are absent."""
    rows = session.execute(
        sa.select(AlertNotification.carried_by, sa.func.count())
        .where(AlertNotification.carried_by.in_(notification_ids))
        .group_by(AlertNotification.carried_by)
    )
    return {carried_by: count for carried_by, count in rows}  # noqa: C416 - rows are no pairs


def count_failed(session: Session, project_id: str) -> int:
    """How many of a project's tellings are dead letters."""
    failed = (
        sa.select(sa.func.count())
        .select_from(AlertNotification)
        .join(AlertChannel)
        .where(
            AlertChannel.project_id == project_id,
            AlertNotification.state == NotificationState.FAILED,
            AlertNotification.carried_by == "",
        )
    )
    return session.scalar(failed) or 0


def count_waiting(session: Session, channel_ids: Sequence[str]) -> Mapping[str, int]:
    """How many messages wait for each channel; those for which none does are absent."""
    rows = session.execute(
        sa.select(AlertNotification.channel_id, sa.func.count())
        .where(
            AlertNotification.channel_id.in_(channel_ids),
            AlertNotification.state == NotificationState.WAITING,
        )
        .group_by(AlertNotification.channel_id)
    )
    return {channel_id: count for channel_id, count in rows}  # noqa: C416 - rows are no pairs


def latest_tests(session: Session, channel_ids: Sequence[str]) -> Mapping[str, AlertNotification]:
    """The newest test of each channel that was tested."""
    newest = (
        sa.select(sa.func.max(AlertNotification.id))
        .where(
            AlertNotification.channel_id.in_(channel_ids),
            AlertNotification.change == Change.TEST,
        )
        .group_by(AlertNotification.channel_id)
    )
    tests = session.scalars(sa.select(AlertNotification).where(AlertNotification.id.in_(newest)))
    return {test.channel_id: test for test in tests}


def names_of(session: Session, alerts: Sequence[Alert]) -> Mapping[str, str]:
    """The names of who resolved or acknowledged alerts, by their id; those who left are absent."""
    ids = {person for alert in alerts for person in (alert.resolved_by, alert.acknowledged_by)}
    people = session.execute(sa.select(Person.id, Person.name).where(Person.id.in_(ids)))
    return {person_id: name for person_id, name in people}  # noqa: C416 - rows are no pairs


def forget_resolved(session: Session, *, before: datetime) -> int:
    """Delete what was resolved before an instant, and tests that ended then.

    At most 10,000 alerts at once, so that nobody waits long for the transaction; the next run
    takes the rest. Returns how many alerts that were.
    """
    session.execute(
        sa.delete(AlertNotification).where(
            AlertNotification.change == Change.TEST, AlertNotification.finished_at < before
        )
    )
    old = (
        sa.select(Alert.id)
        .where(Alert.resolved_at < before)
        .order_by(Alert.resolved_at)
        .limit(MOST_FORGOTTEN_AT_ONCE)
    )
    return rows_changed(session, sa.delete(Alert).where(Alert.id.in_(old)))
