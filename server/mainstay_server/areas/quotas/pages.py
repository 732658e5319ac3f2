"""What people see of quotas: how much of the plan is used, month by month, and by whom."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry, Panel, PanelRequest
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.frame import done_or_refused, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render
from mainstay_server.ui.formats import bytes_

from .schemas import HistoryAnswer
from .service import plans, telling
from .settings import CALLS, STORAGE

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Owned = Annotated[ProjectRef, access.project(Role.OWNER)]
MONTHS = 12
DAY = timedelta(days=1)
LABELS = {CALLS: "API calls", STORAGE: "Storage"}


@router.get("/dashboard/projects/{slug}/usage")
def show_usage(request: Request, session: Session, project: Viewed) -> Response:
    """The organization's use against its plan, month by month, and the busiest owners of keys."""
    now = utc_now()
    frame = project_frame(request, session, project, page="usage", now=now)
    instance: InstanceRef = frame["instance"]
    caller: Caller = request.state.caller
    search = request.query_params.get("q", "")[:200]
    subject = plans.organization_subject(session, project.organization_id)
    usage = telling.usage_of(session, subject, now=now)
    history = telling.history_of(session, subject, months=MONTHS, now=now)
    return render(
        request,
        "quotas/usage.html",
        **frame,
        usage=usage,
        time_zone=subject.time_zone,
        chart=_chart(history, usage.period_begins),
        owners=telling.busiest_owners(session, instance, search=search, now=now),
        search=search,
        plans=telling.list_plans(),
        choices=[(plan.name, plan.name) for plan in telling.list_plans()],
        may_own=caller.role.covers(Role.OWNER),
        label=label_of,
        amount=amount_of,
    )


@router.post("/dashboard/projects/{slug}/usage/plan")
def change_plan(
    session: Session,
    project: Owned,
    plan: Annotated[str, Form(max_length=40)] = "",
    time_zone: Annotated[str, Form(max_length=60)] = "UTC",
) -> Response:
    """Put the organization on another plan."""
    return done_or_refused(
        session,
        lambda: plans.change_plan(
            session, project.organization_id, plan=plan, time_zone=time_zone, now=utc_now()
        ),
        path=f"/dashboard/projects/{project.slug}/usage",
        done=f"The organization is on the plan {plan}.",
    )


def draw_panel(asked: PanelRequest) -> str:
    """How much of the plan is used."""
    subject = plans.organization_subject(asked.session, asked.instance.organization_id)
    return fragment(
        asked.request,
        "quotas/panel.html",
        instance=asked.instance,
        usage=telling.usage_of(asked.session, subject, now=asked.now),
        owners=telling.busiest_owners(asked.session, asked.instance, now=asked.now)[:5],
        label=label_of,
        amount=amount_of,
    )


def label_of(meter: str) -> str:
    """A meter's name as people read it."""
    return LABELS.get(meter, meter.replace("_", " ").capitalize())


def amount_of(meter: str, value: int) -> str:
    """An amount of a meter as people read it."""
    return bytes_(value) if meter == STORAGE else f"{value:,}"


panel = Panel(page="security", name="usage", title="Usage", order=50, draw=draw_panel)
menu = MenuEntry(label="Usage", page="usage", icon="gauge", group="guard", order=40)


def _chart(history: HistoryAnswer, begins: datetime) -> dict[str, Any]:
    """Calls of the last twelve months, also of those in which nothing was used."""
    calls = {month.period_begins: month.meters.get(CALLS, 0) for month in history.history}
    months = [begins]
    for _ in range(MONTHS - 1):
        before = (months[0] - timedelta(days=1)).replace(day=1)
        months.insert(0, next((m for m in calls if abs(m - before) < DAY), before))
    return {
        "times": [int(month.timestamp()) for month in months],
        "series": [{"label": "Calls", "values": [calls.get(month, 0) for month in months]}],
    }
