"""What happened and who was told: the history of alerts, and the deliveries."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import Form
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.models import AlertType, NotificationState, Severity
from mainstay_server.areas.alerts.service import (
    by_hand,
    channels,
    dead_letters,
    firing,
    history,
    notifications,
    silence_previews,
)
from mainstay_server.areas.alerts.service.routing import explaining
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import instances_of_project

from .frame import PREFIX, Text, Viewed, Written, chosen_of, frame_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)

PER_PAGE = 50
UNTAKEN = "unacknowledged"

Ids = Annotated[list[str], Field(default_factory=list, max_length=PER_PAGE)]


class Chosen(BaseModel):
    """The alerts of the list that a form is about: those ticked, or `every` one of those shown."""

    action: Literal["acknowledge", "resolve"]
    alert: Ids
    shown: Ids
    every: str = ""


@router.get("")
def show_alerts(request: Request, session: Session, project: Viewed) -> Response:
    """All alerts of a project's instances, to search and filter."""
    status = request.query_params.get("status", "")
    chosen = history.AlertFilter(
        active={"active": True, UNTAKEN: True, "resolved": False}.get(status),
        acknowledged=False if status == UNTAKEN else None,
        kind=chosen_of(request, "type", AlertType),
        severity=chosen_of(request, "severity", Severity),
        text=request.query_params.get("q", "")[:200],
    )
    frame = frame_of(request, session, project)
    page = history.list_alerts(
        session,
        [instance.id for instance in frame["instances"]],
        chosen,
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
    )
    return page_of(
        request,
        session,
        frame,
        "history",
        matchers_of=silence_previews.matchers_for,
        chosen=chosen,
        UNTAKEN=UNTAKEN,
        alerts=page.items,
        next_cursor=page.next_cursor,
        names=history.names_of(session, page.items),
        deliveries=history.deliveries_of(session, [alert.id for alert in page.items]),
        reasons=explaining.reasons_of(session, [alert.id for alert in page.items]),
        environments={instance.id: instance.environment for instance in frame["instances"]},
    )


@router.post("")
def act_on_several(
    request: Request,
    session: Session,
    project: Written,
    chosen: Annotated[Chosen, Form()],
) -> Response:
    """Take the ticked alerts in hand, or end them; with `every` ticked, all that were shown."""
    caller: Caller = request.state.caller
    became = by_hand.ACTIONS[chosen.action](
        session,
        project.id,
        chosen.shown if chosen.every else chosen.alert,
        by=caller.person_id,
        name=caller.person_name,
        now=utc_now(),
    )
    query = f"?{request.url.query}" if request.url.query else ""
    said, tone = _outcome_of(chosen.action, became)
    return redirect_with(url_of(project, "alerts") + query, said, tone)


def _outcome_of(action: str, became: Mapping[str, by_hand.Outcome]) -> tuple[str, str]:
    """One sentence about what became of several alerts, and its tone."""
    counts = Counter(became.values())
    if not became:
        return "Choose the alerts first.", "warn"
    done = counts[by_hand.Outcome.DONE]
    parts = [f"{done or 'None'} {action}d"]
    for outcome, one, several in (
        (by_hand.Outcome.ENDED, "had ended", "had ended"),
        (by_hand.Outcome.ALREADY, "was in somebody's hands", "were in somebody's hands"),
        (by_hand.Outcome.UNKNOWN, "is not there any more", "are not there any more"),
    ):
        if count := counts[outcome]:
            parts.append(f"{count} {one if count == 1 else several}")
    return f"{', '.join(parts)}.", "ok" if done else "warn"


@router.get("/deliveries")
def show_deliveries(request: Request, session: Session, project: Viewed) -> Response:
    """What was told to whom, and what could not be."""
    page = history.list_notifications(
        session,
        project.id,
        state=chosen_of(request, "state", NotificationState),
        channel_id=request.query_params.get("channel", "")[:36],
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
    )
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "deliveries",
        deliveries=page.items,
        carried=history.carried_counts(session, [sent.id for sent, _, _ in page.items]),
        next_cursor=page.next_cursor,
        state=chosen_of(request, "state", NotificationState),
        channel_id=request.query_params.get("channel", "")[:36],
        channels=channels.channels_of_project(session, project.id),
    )


@router.post("/{alert_id}/resolve")
def resolve_alert(
    request: Request,
    session: Session,
    project: Written,
    alert_id: str,
    back: Text = "",
) -> Response:
    """Say that an alert is over."""
    caller: Caller = request.state.caller
    for instance in instances_of_project(session, project.id):
        if firing.is_of(session, instance.id, alert_id):
            by_hand.resolve_alert(
                session,
                instance.id,
                alert_id,
                person_id=caller.person_id,
                name=caller.person_name,
                now=utc_now(),
            )
            pages = {"monitoring": "monitoring", "alert": f"alerts/{alert_id}"}
            page = pages.get(back, "alerts")
            return redirect_with(url_of(project, page, instance), "Resolved.")
    return redirect_with(url_of(project, "alerts"), "There is no such alert any more.", "warn")


@router.post("/deliveries/{notification_id}/resend")
def resend(
    session: Session, project: Written, notification_id: str, instance: Text = ""
) -> Response:
    """Send a dead letter again."""
    return done_or_refused(
        session,
        lambda: notifications.resend(
            session, notification_id, project_id=project.id, now=utc_now()
        ),
        path=url_of(project, "alerts/deliveries", instance),
        done="On its way again.",
    )


@router.post("/deliveries/resend")
def resend_all(
    session: Session,
    project: Written,
    instance: Text = "",
    channel_id: Annotated[str, Form(max_length=36)] = "",
) -> Response:
    """Send all dead letters again, or those of one channel."""
    done = dead_letters.resend_all(
        session, project_id=project.id, channel_id=channel_id, now=utc_now()
    )
    said = f"{done.resent} on their way again."
    if done.left:
        said += f" {done.left} are left; press it again when these have arrived."
    if not done.resent:
        said = "Nothing to send again: the channels are off, or another one stood in."
    return redirect_with(url_of(project, "alerts/deliveries", instance), said)
