"""One alert: what it is, what to do about it, what became of it."""

from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.requests import Request

from mainstay_server.areas.alerts.service import by_hand, history, runbooks, timeline
from mainstay_server.areas.alerts.service.routing import explaining
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.subjects import find_instance

from .frame import PREFIX, Viewed, Written, frame_of, page_of, url_of

router = Router(prefix=PREFIX, include_in_schema=False)

HIDDEN = ("runbook", "runbook_url")


@router.get("/{alert_id}")
def show_alert(request: Request, session: Session, project: Viewed, alert_id: str) -> Response:
    """The alert with its runbook, filled in with its values, and its timeline."""
    alert = timeline.get_alert_of_project(session, project.id, alert_id)
    instance = find_instance(session, alert.instance_id)
    if instance is None:
        raise NotFound("The instance of this alert is gone.")
    names = history.names_of(session, [alert])
    return page_of(
        request,
        session,
        frame_of(request, session, project),
        "alert",
        alert=alert,
        environment=instance.environment,
        runbook=runbooks.runbook_of(session, alert, instance),
        moments=timeline.timeline_of(session, alert, names),
        names=names,
        facts=[(name, value) for name, value in alert.annotations.items() if name not in HIDDEN],
        deliveries=history.deliveries_of(session, [alert.id]),
        reasons=explaining.reasons_of(session, [alert.id]),
    )


@router.post("/{alert_id}/acknowledge")
def acknowledge_alert(
    request: Request, session: Session, project: Written, alert_id: str
) -> Response:
    """Take an alert in hand."""
    alert = timeline.get_alert_of_project(session, project.id, alert_id)
    caller: Caller = request.state.caller
    taken = by_hand.acknowledge_alert(
        session, alert.id, by=caller.person_id, name=caller.person_name, now=utc_now()
    )
    said = "It is in your hands." if taken else "It is over, or somebody took it before."
    return redirect_with(url_of(project, f"alerts/{alert.id}"), said, "ok" if taken else "warn")
