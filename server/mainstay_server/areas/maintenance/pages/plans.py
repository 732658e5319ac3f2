"""What is planned: the list with its calendar, one maintenance, and the form with its preview."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mainstay_server.areas.maintenance.models import Maintenance
from mainstay_server.areas.maintenance.service import listing, planning
from mainstay_server.areas.maintenance.service.listing import Previewed
from mainstay_server.areas.maintenance.service.telling import current_plan
from mainstay_server.areas.maintenance.service.windows import Occurrence
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import list_watched
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment

from . import forms
from .frame import PREFIX, Form, Names, Viewed, Written, home, page_of

router = Router(prefix=PREFIX, include_in_schema=False)

PER_PAGE = 50
AHEAD, BEHIND = timedelta(days=60), timedelta(days=90)
MOST_SHOWN = 50
MOST_SUBJECTS = 200
DAYS_OF_WEEK = 7


@router.get("")
def show_maintenance(request: Request, session: Session, project: Viewed) -> Response:
    """What lasts, what comes, what is planned, and what has been."""
    now = utc_now()
    text = request.query_params.get("q", "")[:100]
    page = listing.list_maintenance(
        session,
        project.id,
        text=text,
        limit=PER_PAGE,
        cursor=request.query_params.get("cursor", ""),
        now=now,
    )
    found = listing.windows_of_project(session, project.id, since=now - BEHIND, until=now + AHEAD)
    by_status: dict[str, list[Occurrence]] = {"active": [], "upcoming": [], "ended": []}
    for each in found:
        by_status[each.status_at(now)].append(each)
    return page_of(
        request,
        session,
        project,
        "list",
        planned=page.items,
        next_cursor=page.next_cursor,
        text=text,
        active=by_status["active"],
        upcoming=by_status["upcoming"][:MOST_SHOWN],
        ended=by_status["ended"][::-1][:MOST_SHOWN],
        weeks=weeks_of([*by_status["active"], *by_status["upcoming"]], today=now.date()),
        covers=Names(session, project),
        server=base_url(request),
    )


@router.get("/new")
def show_new(request: Request, session: Session, project: Written) -> Response:
    """The form, empty."""
    return _form(
        request, session, project, values=forms.new_values(request.query_params, now=utc_now())
    )


@router.post("/new")
def plan(request: Request, session: Session, project: Written, form: Form) -> Response:
    """Plan what the form says."""
    try:
        with session.begin_nested():
            made = planning.plan_maintenance(
                session, project, forms.wanted_from(form), now=utc_now()
            )
    except Problem as problem:
        return _form(request, session, project, values=forms.again(form), problem=problem.detail)
    return redirect_with(home(project), f"{made.name} is planned.")


@router.get("/preview")
def show_preview(request: Request, session: Session, project: Viewed) -> HTMLResponse:
    """The next ten windows of what the form says so far, and what they would cover."""
    problem = ""
    windows: list[Previewed] = []
    covered: list[Watched] = []
    try:
        wanted = forms.wanted_from(request.query_params)
        planned, windows = listing.preview(session, project, wanted, now=utc_now())
        covered = listing.covered_by(session, project.id, planned.scope)
    except Problem as refused:
        problem = refused.detail
    return HTMLResponse(
        fragment(
            request,
            "maintenance/preview.html",
            windows=windows,
            covered=covered,
            problem=problem,
            now=utc_now(),
        )
    )


@router.get("/{maintenance_id:id}")
def show_one(request: Request, session: Session, project: Viewed, maintenance_id: str) -> Response:
    """One maintenance: its windows before and to come, and the form that changes it."""
    now = utc_now()
    found = planning.get_maintenance(session, project, maintenance_id)
    plan = current_plan(session, found)
    windows = listing.windows_of(session, found.id, since=now - BEHIND, until=now + AHEAD * 6)
    return _form(
        request,
        session,
        project,
        values=forms.values_of(found, plan),
        maintenance=found,
        windows=windows,
    )


@router.post("/{maintenance_id:id}/change")
def change(
    request: Request, session: Session, project: Written, maintenance_id: str, form: Form
) -> Response:
    """Plan it otherwise from now on."""
    found = planning.get_maintenance(session, project, maintenance_id)
    try:
        with session.begin_nested():
            planning.change_maintenance(
                session, project, maintenance_id, forms.wanted_from(form), now=utc_now()
            )
    except Problem as problem:
        return _form(
            request,
            session,
            project,
            values=forms.again(form),
            maintenance=found,
            problem=problem.detail,
        )
    return redirect_with(f"{home(project)}/{maintenance_id}", "Changed, from now on.")


@router.post("/{maintenance_id:id}/remove")
def remove(session: Session, project: Written, maintenance_id: str) -> Response:
    """Call off all further windows."""
    return done_or_refused(
        session,
        lambda: planning.remove_maintenance(session, project, maintenance_id, now=utc_now()),
        path=home(project),
        done="It was removed; windows that have been still count.",
    )


def weeks_of(
    windows: Sequence[Occurrence], *, today: date
) -> list[list[tuple[date, list[Occurrence]]]]:
    """The next 60 days in weeks from Monday on (UTC), each with the windows that touch it."""
    first = today - timedelta(days=today.weekday())
    count = ((today + AHEAD - first).days // DAYS_OF_WEEK + 1) * DAYS_OF_WEEK
    days: list[tuple[date, list[Occurrence]]] = [
        (first + timedelta(days=number), []) for number in range(count)
    ]
    for window in windows:
        start = max((window.started_at.date() - first).days, 0)
        end = min((_last_day(window) - first).days, count - 1)
        for number in range(start, end + 1):
            days[number][1].append(window)
    return [days[at : at + DAYS_OF_WEEK] for at in range(0, count, DAYS_OF_WEEK)]


def _last_day(window: Occurrence) -> date:
    return (window.ended_at - timedelta(microseconds=1)).date()


@cache
def _zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")


def _form(  # noqa: PLR0913 - what the form shows
    request: Request,
    session: Session,
    project: ProjectRef,
    *,
    values: dict[str, Any],
    maintenance: Maintenance | None = None,
    problem: str = "",
    windows: Sequence[Occurrence] = (),
) -> Response:
    now = utc_now()
    watched = list_watched(session, project.id)
    return page_of(
        request,
        session,
        project,
        "form",
        values=values,
        maintenance=maintenance,
        problem=problem,
        watched=watched[:MOST_SUBJECTS],
        more_watched=max(len(watched) - MOST_SUBJECTS, 0),
        known_tags=sorted({tag for each in watched for tag in each.tags}),
        zones=_zones(),
        COMES=forms.COMES,
        ANNOUNCED=forms.ANNOUNCED,
        covers=Names(session, project),
        upcoming=[each for each in windows if each.status_at(now) != "ended"][:MOST_SHOWN],
        ended=[each for each in windows if each.status_at(now) == "ended"][::-1][:MOST_SHOWN],
    )
