"""Alerts over HTTP: list, resolve, open by hand, act on many."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Body as JsonBody
from fastapi import Query, Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import Alert
from mainstay_server.areas.alerts.schemas.alerts import (
    AN_ID,
    AlertAction,
    AlertAnswer,
    AlertList,
    AlertOutcome,
    AlertOutcomes,
    AlertQuery,
    AlertsAction,
    NewAlert,
    ResolveAlert,
)
from mainstay_server.areas.alerts.service import by_hand, firing, history
from mainstay_server.areas.alerts.service.routing import explaining
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.bodies import LATER
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef

router = Router()

ALERT = {
    "id": AN_ID,
    "instanceId": "0193a5c0-11aa-7b2c-8d3e-4f5a6b7c8d9e",
    "type": "instance_down",
    "severity": "critical",
    "title": "inspections production is down",
    "message": "GET https://inspections.example/health answered 500.",
    "status": "active",
    "createdAt": "2026-03-01T12:00:00.000Z",
    "lastSeenAt": "2026-03-01T12:00:00.000Z",
    "count": 1,
    "labels": {
        "alertname": "instance_down",
        "severity": "critical",
        "project": "inspections",
        "environment": "production",
    },
    "fingerprint": "eb1b7696fef2f66c",
}


@router.get(
    "/api/instances/{instance_id}/alerts",
    summary="List alerts",
    response_model_exclude_none=True,
    responses={200: {"content": {"application/json": {"example": {"alerts": [ALERT]}}}}},
)
def list_alerts(
    session: Session,
    instance: Annotated[InstanceRef, access.instance(Role.VIEWER)],
    chosen: Annotated[AlertQuery, Query()],
) -> AlertList:
    """The alerts of an instance, newest first."""
    page = history.list_alerts(
        session,
        [instance.id],
        history.AlertFilter(
            active=chosen.active,
            acknowledged=chosen.acknowledged,
            kind=chosen.type,
            severity=chosen.severity,
            text=chosen.q,
        ),
        limit=chosen.limit,
        cursor=chosen.cursor,
    )
    names = history.names_of(session, page.items)
    reasons = explaining.reasons_of(session, [alert.id for alert in page.items])
    return AlertList(
        alerts=[_alert(alert, names, reasons) for alert in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/api/instances/{instance_id}/alerts",
    summary="Resolve, acknowledge or open an alert",
    response_model_exclude_none=True,
    operation_id="resolve_or_open_alert",
    responses={
        status: {"model": AlertAnswer, "content": {"application/json": {"example": ALERT}}}
        for status in (200, 201)
    },
)
def act_on_alerts(
    session: Session,
    instance: Annotated[InstanceRef, access.instance(Role.MEMBER)],
    request: Request,
    response: Response,
    body: Annotated[
        AlertAction,
        JsonBody(
            openapi_examples={
                "resolve": {"value": {"alertId": ALERT["id"], "action": "resolve"}},
                "acknowledge": {"value": {"alertId": ALERT["id"], "action": "acknowledge"}},
                "mute": {"value": {"alertId": ALERT["id"], "action": "mute", "until": LATER}},
                "open": {
                    "value": {
                        "type": "backup_failed",
                        "severity": "critical",
                        "title": "The dump of tonight is empty",
                        "message": "0 bytes were written.",
                    }
                },
            }
        ),
    ],
) -> AlertAnswer:
    """End an alert: `{"alertId": …, "action": "resolve"}`, take it in hand, mute it, or open one.

    What is resolved or acknowledged already stays as it is. Opening one that is active already
    (the same type and title) counts it and answers 200 instead of 201.
    """
    now = utc_now()
    if isinstance(body, NewAlert):
        found = firing.Firing(type=body.type, title=body.title, message=body.message)
        alert, is_new = by_hand.open_alert(session, instance, found, body.severity, now=now)
        response.status_code = 201 if is_new else 200
        return _alert(alert, {}, {})
    alert = _acted_on(session, instance, request.state.caller, body)
    reasons = explaining.reasons_of(session, [alert.id])
    return _alert(alert, history.names_of(session, [alert]), reasons)


@router.post(
    "/api/projects/{slug}/alerts",
    summary="Acknowledge or resolve several alerts",
    operation_id="act_on_several_alerts",
)
def act_on_several_alerts(
    session: Session,
    project: Annotated[ProjectRef, access.project(Role.MEMBER)],
    request: Request,
    body: AlertsAction,
) -> AlertOutcomes:
    """Take up to 500 alerts of a project in hand, or end them, in one request.

    Each fares as if it were alone, and its `outcome` says how: one that is over, that somebody has
    in hand or that the project does not have keeps none of the others from it.
    """
    caller: Caller = request.state.caller
    became = by_hand.ACTIONS[body.action](
        session,
        project.id,
        body.alert_ids,
        by=caller.person_id,
        name=caller.person_name,
        now=utc_now(),
    )
    return AlertOutcomes(
        done=sum(each is by_hand.Outcome.DONE for each in became.values()),
        results=[
            AlertOutcome(alert_id=alert_id, outcome=each.value) for alert_id, each in became.items()
        ],
    )


def _acted_on(session: Session, instance: InstanceRef, caller: Caller, body: ResolveAlert) -> Alert:
    """An alert after somebody resolved it, took it in hand, or muted it."""
    now = utc_now()
    if body.action == "resolve":
        return by_hand.resolve_alert(
            session,
            instance.id,
            body.alert_id,
            person_id=caller.person_id,
            name=caller.person_name,
            now=now,
        )
    alert = firing.get_alert(session, instance.id, body.alert_id)
    if body.action == "mute":
        return by_hand.mute_alert(session, alert, body.until, now=now)
    by_hand.acknowledge_alert(
        session, alert.id, by=caller.person_id, name=caller.person_name, now=now
    )
    return alert


def _alert(alert: Alert, names: Mapping[str, str], reasons: Mapping[str, str]) -> AlertAnswer:
    return AlertAnswer(
        id=alert.id,
        instance_id=alert.instance_id,
        type=alert.type,
        severity=alert.severity,
        title=alert.title,
        message=alert.message,
        status=alert.status,
        created_at=alert.opened_at,
        last_seen_at=alert.last_seen_at,
        count=alert.count,
        labels=alert.labels,
        fingerprint=alert.fingerprint,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=names.get(alert.acknowledged_by),
        muted_until=alert.muted_until,
        not_told_because=reasons.get(alert.id),
        resolved_at=alert.resolved_at,
        resolved_by=names.get(alert.resolved_by),
        resolution=alert.resolution or None,
    )
