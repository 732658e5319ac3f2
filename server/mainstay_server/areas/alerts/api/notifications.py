"""The delivery history over HTTP: what was told to whom, dead letters, sending those again."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import (
    Alert,
    AlertChannel,
    AlertNotification,
    NotificationState,
)
from mainstay_server.areas.alerts.providers import KINDS
from mainstay_server.areas.alerts.schemas.notifications import (
    NotificationAnswer,
    NotificationList,
    ResendAll,
    ResentAnswer,
)
from mainstay_server.areas.alerts.service import dead_letters, history, notifications
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.pagination import Cursor, Limit
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()

NOTIFICATION = {
    "id": "0193a5c2-9a00-7a11-8b22-3c44d55e6f77",
    "alertId": "0193a5c2-7d1e-7c6b-9a3f-2f7d4c1b8e90",
    "channelId": "0193a5c2-8f00-7a11-8b22-3c44d55e6f77",
    "change": "opened",
    "state": "delivered",
    "attempts": 1,
    "title": "inspections production is down",
    "target": "https://hooks.example/services/…",
    "createdAt": "2026-03-01T12:00:00.000Z",
    "finishedAt": "2026-03-01T12:00:01.000Z",
}


@router.get(
    "/api/projects/{slug}/alert-notifications",
    summary="List alert notifications",
    operation_id="list_alert_notifications",
    responses={
        200: {"content": {"application/json": {"example": {"notifications": [NOTIFICATION]}}}}
    },
)
def list_notifications(
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.VIEWER)],
    *,
    state: Annotated[
        NotificationState | None, Query(description="Only those that came to this.")
    ] = None,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> NotificationList:
    """The delivery history of a project; `state=failed` gives the dead letters."""
    page = history.list_notifications(session, project.id, state=state, limit=limit, cursor=cursor)
    return NotificationList(
        notifications=[_notification(*triple) for triple in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/projects/{slug}/alert-notifications/{notification_id}/resend",
    status_code=202,
    summary="Resend a dead letter",
    operation_id="resend_alert_notification",
    responses={202: {"content": {"application/json": {"example": None}}}},
)
def resend(
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.MEMBER)],
    notification_id: str,
) -> None:
    """Give a notification that failed its tries back, under its old idempotency key."""
    notifications.resend(session, notification_id, project_id=project.id, now=utc_now())


@router.post(
    "/api/projects/{slug}/alert-notifications/resend",
    summary="Resend all dead letters",
    operation_id="resend_alert_notifications",
    responses={200: {"content": {"application/json": {"example": {"resent": 12, "left": 0}}}}},
)
def resend_all(
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.MEMBER)],
    body: ResendAll,
) -> ResentAnswer:
    """Give all dead letters of a project or one channel their tries back, at most 200 at once.

    What another channel stood in for, and what belongs to channels that are off, is left alone.
    """
    done = dead_letters.resend_all(
        session, project_id=project.id, channel_id=body.channel_id, now=utc_now()
    )
    return ResentAnswer(resent=done.resent, left=done.left)


def _notification(
    notification: AlertNotification, channel: AlertChannel, alert: Alert | None
) -> NotificationAnswer:
    return NotificationAnswer(
        id=notification.id,
        alert_id=notification.alert_id,
        channel_id=channel.id,
        change=notification.change,
        state=notification.state,
        attempts=notification.attempts,
        title=alert.title if alert else "Test message",
        target=KINDS[channel.type].shown(channel.config),
        created_at=notification.created_at,
        finished_at=notification.finished_at,
        last_error=notification.last_error or None,
        stands_in_for=notification.stands_in_for or None,
        slot_at=notification.slot_at,
    )
