"""What became of one alert, moment by moment: opened, told, taken in hand, over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    Change,
    NotificationState,
)
from mainstay_server.areas.alerts.providers import KINDS
from mainstay_server.kernel.problems import NotFound

MOST_TOLD = 200
WORDS = {
    NotificationState.WAITING: "waits to be delivered",
    NotificationState.DELIVERED: "delivered",
    NotificationState.FAILED: "could not be delivered",
}
TONES = {
    NotificationState.WAITING: "info",
    NotificationState.DELIVERED: "ok",
    NotificationState.FAILED: "critical",
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One thing that happened."""

    at: datetime
    title: str
    text: str = ""
    tone: str = "neutral"


def get_alert_of_project(session: Session, project_id: str, alert_id: str) -> Alert:
    """One alert of a project. Raises `NotFound`."""
    alert = session.get(Alert, alert_id)
    if alert is None or alert.project_id != project_id:
        raise NotFound("This project has no such alert; the page of alerts lists them.")
    return alert


def timeline_of(session: Session, alert: Alert, names: Mapping[str, str]) -> list[Moment]:
    """What happened, newest first; of its tellings the first 200."""
    moments = [Moment(at=alert.opened_at, title="It opened", text=alert.message, tone="critical")]
    if alert.count > 1:
        again = f"It fired {alert.count} times in all; this was the last."
        moments.append(Moment(at=alert.last_seen_at, title="It fired again", text=again))
    moments += _told(session, alert)
    if alert.acknowledged_at is not None:
        who = names.get(alert.acknowledged_by, "Somebody")
        moments.append(
            Moment(at=alert.acknowledged_at, title=f"{who} took it in hand", tone="info")
        )
    if alert.resolved_at is not None:
        moments.append(
            Moment(at=alert.resolved_at, title="It was over", text=alert.resolution, tone="ok")
        )
    return sorted(moments, key=lambda moment: moment.at, reverse=True)


def _told(session: Session, alert: Alert) -> list[Moment]:
    rows = session.execute(
        sa.select(AlertNotification, AlertChannel)
        .join(AlertChannel, AlertChannel.id == AlertNotification.channel_id)
        .where(AlertNotification.alert_id == alert.id)
        .order_by(AlertNotification.id)
        .limit(MOST_TOLD)
    )
    return [_moment(notification, channel) for notification, channel in rows]


def _moment(notification: AlertNotification, channel: AlertChannel) -> Moment:
    state = NotificationState(notification.state)
    what = {Change.OPENED: "The opening", Change.RESOLVED: "The end"}.get(
        Change(notification.change), "It"
    )
    tries = f" after {notification.attempts} tries" if notification.attempts > 1 else ""
    return Moment(
        at=notification.finished_at or notification.created_at,
        title=f"{what} {WORDS[state]}{tries}: {KINDS[channel.type].LABEL} {channel.name}",
        text=notification.last_error,
        tone=TONES[state],
    )
