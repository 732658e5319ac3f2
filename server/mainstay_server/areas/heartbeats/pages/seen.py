"""The page of one heartbeat: how it is, what it reported, how long it ran, how to let it report."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.heartbeats.models import Heartbeat, HeartbeatPing, ScheduleKind, Signal
from mainstay_server.areas.heartbeats.service import badges, heartbeats, making, reading
from mainstay_server.areas.heartbeats.service.schedules import next_turns, schedule_of
from mainstay_server.areas.heartbeats.settings import HeartbeatSettings
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.settings import of
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import Spell, State, uptime_of, worst_in_slots
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url, project_dsn
from mainstay_server.tenancy.frame import done_or_refused
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .frame import PAGE, instance_frame
from .overview import LIGHTS, standing_of

router = Router(prefix="/dashboard/projects/{slug}/heartbeats/{instance_id}")
Seen = Annotated[ProjectRef, access.project(Role.VIEWER)]
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]

PER_PAGE = 50
SLOTS = 90
DAYS = 90
SHOWN_SPELLS = 20
SHOWN_TURNS = 5
FEWEST_DRAWN = 2
TONES = {
    Signal.SUCCESS: "ok",
    Signal.FAIL: "critical",
    Signal.START: "info",
    Signal.LOG: "neutral",
    Signal.IGNORED: "neutral",
}


@router.get("/{heartbeat_id:id}")
def show_heartbeat(
    request: Request,
    session: Session,
    project: Seen,
    instance_id: str,
    heartbeat_id: str,
) -> Response:
    """Everything known of one job."""
    now = utc_now()
    frame = instance_frame(request, session, project, instance_id, now=now)
    instance = frame["instance"]
    row = heartbeats.get_heartbeat(session, instance.id, heartbeat_id)
    since = max(now - timedelta(days=DAYS), row.created_at)
    spells = reading.spells_of(session, row, since=since, until=now, now=now)
    pings = reading.list_pings(
        session, row, limit=PER_PAGE, cursor=request.query_params.get("cursor", "")
    )
    base = base_url(request)
    return render(
        request,
        "heartbeats/one.html",
        **frame,
        row=row,
        standing=standing_of(row, now),
        pings=pings.items,
        next_cursor=pings.next_cursor,
        tones=TONES,
        lights=LIGHTS,
        uptime=uptime_of(spells, since=since, until=now).percent if since < now else None,
        slots=_slots(spells, now=now),
        spells=list(reversed(spells))[:SHOWN_SPELLS],
        chart=_chart(reading.ended_runs(session, row), row),
        turns=[f"{turn:%a %d %b %H:%M %Z}" for turn in _turns(row, now)],
        ping_url=f"{base}/ping/{row.ping_id}",
        slug_url=f"{base}/ping/{making.find_ping_key(session, instance)}/{row.slug}",
        server=base,
        dsn=project_dsn(request, session, project_id=project.id, number=project.number),
        mail=of(HeartbeatSettings).heartbeats_mail_domain,
        badge=f"{base}{badges.badge_path(row)}",
        badge_path=badges.badge_path(row),
        shields=f"{base}{badges.badge_path(row, form='shields')}",
    )


@router.get("/{heartbeat_id:id}/pings/{number}")
def show_body(
    request: Request,
    session: Session,
    project: Seen,
    instance_id: str,
    heartbeat_id: str,
    number: int,
) -> Response:
    """What came with one report."""
    frame = instance_frame(request, session, project, instance_id, now=utc_now())
    row = heartbeats.get_heartbeat(session, frame["instance"].id, heartbeat_id)
    body = reading.get_body(session, row, number)
    return render(
        request,
        "heartbeats/body.html",
        **frame,
        row=row,
        number=number,
        body=body.decode("utf-8", "replace"),
    )


@router.post("/{heartbeat_id:id}/pause")
def pause(session: Session, instance: Written, heartbeat_id: str) -> Response:
    """Expect nothing of it."""
    row = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    return done_or_refused(
        session,
        lambda: heartbeats.pause_heartbeat(session, row, now=utc_now()),
        path=page_of(instance, row),
        done="Paused: nothing is expected, and this time does not count.",
    )


@router.post("/{heartbeat_id:id}/resume")
def resume(session: Session, instance: Written, heartbeat_id: str) -> Response:
    """Wait for its next report."""
    row = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    return done_or_refused(
        session,
        lambda: heartbeats.resume_heartbeat(session, row, now=utc_now()),
        path=page_of(instance, row),
        done="Resumed: it is waited for from its next report on.",
    )


@router.post("/{heartbeat_id:id}/remove")
def remove(
    session: Session,
    instance: Written,
    heartbeat_id: str,
    sure: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Remove it with everything it reported; its name is asked for once more."""
    row = heartbeats.get_to_change(session, instance.id, heartbeat_id)
    if sure.strip() != row.name:
        return done_or_refused(session, _not_sure, path=page_of(instance, row), done="")
    return done_or_refused(
        session,
        lambda: heartbeats.remove_heartbeat(session, row, now=utc_now()),
        path=instance.page(PAGE),
        done=f"{row.name} is removed.",
    )


def page_of(instance: InstanceRef, row: Heartbeat) -> str:
    """The path of a heartbeat's page."""
    return f"/dashboard/projects/{instance.project_slug}/{PAGE}/{instance.id}/{row.id}"


def _not_sure() -> None:
    raise NotFound("Nothing was removed: the name that was typed is another one.")


def _slots(spells: Sequence[Spell], *, now: datetime) -> list[dict[str, str]]:
    worst = worst_in_slots(spells, since=now - timedelta(days=DAYS), until=now, count=SLOTS)
    return [
        {
            "status": LIGHTS[state][0] if state else "none",
            "title": f"{start:%d %b}: {LIGHTS[state][1] if state else 'no data'}",
        }
        for start, state in worst
    ]


def _chart(runs: Sequence[HeartbeatPing], row: Heartbeat) -> dict[str, Any] | None:
    if len(runs) < FEWEST_DRAWN:  # one point has no axis of time
        return None
    chart: dict[str, Any] = {
        "times": [int(run.at.timestamp()) for run in runs],
        "series": [
            {"label": "succeeded", "values": _durations(runs, Signal.SUCCESS), "tone": "ok"},
            {"label": "failed", "values": _durations(runs, Signal.FAIL), "tone": "critical"},
        ],
    }
    if row.max_duration_seconds is not None:
        chart["limit"] = {"value": row.max_duration_seconds * 1000, "label": "too long"}
    return chart


def _durations(runs: Sequence[HeartbeatPing], signal: Signal) -> list[int | None]:
    return [run.duration_ms if run.signal == signal else None for run in runs]


def _turns(row: Heartbeat, now: datetime) -> Sequence[datetime]:
    if row.schedule_kind == ScheduleKind.PERIOD:
        if row.due_at is None or row.state == State.UNHEALTHY:
            return []
        return [row.due_at.astimezone(ZoneInfo(row.time_zone))]
    return next_turns(schedule_of(row), after=now, count=SHOWN_TURNS)
