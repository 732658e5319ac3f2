"""The list of an instance's heartbeats."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.heartbeats.models import Heartbeat, ScheduleKind
from mainstay_server.areas.heartbeats.service import heartbeats, making, reading
from mainstay_server.areas.heartbeats.service.states import moment, spoken
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.watching import State
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .frame import PAGE

router = Router()
Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]

PER_PAGE = 100
HOURS_30_DAYS = 24 * 30
TABS = ("all", "down", "degraded", "healthy", "unknown", "paused")
STATES_OF_TABS = {"down": State.UNHEALTHY}
LIGHTS = {
    State.HEALTHY: ("healthy", "Healthy"),
    State.DEGRADED: ("degraded", "Degraded"),
    State.UNHEALTHY: ("down", "Down"),
    State.UNKNOWN: ("none", "Unknown"),
    State.UNREACHABLE: ("none", "Unreachable"),
    State.PAUSED: ("paused", "Paused"),
}


@router.get("/dashboard/projects/{slug}/heartbeats")
def show_heartbeats(request: Request, session: Session, project: Viewed) -> Response:
    """The jobs that report: searched, by state and tag, with the last and the next report."""
    now = utc_now()
    frame = project_frame(request, session, project, page=PAGE, now=now)
    instance, asked = frame["instance"], request.query_params
    state = asked.get("state", "all")
    found = heartbeats.list_page(
        session,
        instance.id,
        search=asked.get("q", "")[:100],
        state=state,
        tag=asked.get("tag", "")[:40],
        limit=PER_PAGE,
        cursor=asked.get("cursor", ""),
    )
    counts = heartbeats.count_by_state(session, instance.id)
    uptimes = reading.uptimes_of(session, found.items, hours=HOURS_30_DAYS, now=now)
    tabs = [(tab, _count(counts, tab)) for tab in TABS]
    return render(
        request,
        "heartbeats/list.html",
        **frame,
        found=[
            {"row": row, "uptime": uptimes[row.id].percent, **standing_of(row, now)}
            for row in found.items
        ],
        next_cursor=found.next_cursor,
        tabs=tabs,
        state=state,
        search=asked.get("q", ""),
        tag=asked.get("tag", ""),
        anything=any(counts.values()),
        server=base_url(request),
        ping_key=making.find_ping_key(session, instance),
    )


def standing_of(row: Heartbeat, now: datetime) -> Mapping[str, Any]:
    """How a heartbeat is, in the words of pages: late and running are told beside its state."""
    light, word = LIGHTS[State(row.state)]
    late = heartbeats.is_late(row, now)
    if late and row.state != State.UNKNOWN:
        light, word = "degraded", "Late"
    elif row.state == State.UNKNOWN and row.counted_from is None:
        word = "New"
    return {
        "light": light,
        "word": word,
        "late": late,
        "running": row.is_running,
        "running_since": max((moment(at) for at in row.open_runs.values()), default=None),
        "schedule": schedule_in_words(row),
        "flapping": row.flapping_since is not None,
    }


def schedule_in_words(row: Heartbeat) -> str:
    """A schedule in a line: `every 1 h`, or the expression and its zone."""
    if row.schedule_kind == ScheduleKind.PERIOD:
        return f"every {spoken(row.period_seconds)}"
    return f"{row.expression} ({row.time_zone})"


def _count(counts: Mapping[str, int], tab: str) -> int:
    if tab == "all":
        return sum(counts.values())
    return counts.get(STATES_OF_TABS.get(tab, tab), 0)
