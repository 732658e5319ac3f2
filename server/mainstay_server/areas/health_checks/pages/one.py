"""One health check: how it is, how it was, what it told, and what it is told to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.health_checks import columns
from mainstay_server.areas.health_checks.models import HealthCheck, HealthPart
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.service import configs, evidence, listing, parts, places
from mainstay_server.areas.health_checks.service.details import Detail, read_detail, timings_of
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import NotFound
from mainstay_server.kernel.watching import (
    Spell,
    State,
    read_spells,
    uptime_of,
    windows_of,
    worst_in_slots,
)
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import may_administer, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project
from mainstay_server.ui import fragment, render

from .words import LIGHTS, SLOT_WIDTH, Run, every, strip_of, tone_of_uptime

PREFIX = "/dashboard/projects/{slug}/health-checks/{check_id:id}"
RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
DEFAULT_RANGE = "24h"
SLOTS = 90
POINTS = 144
MOST_RESULTS = 15
MOST_SPELLS_SHOWN = 20
SHORTEST_STEP_SECONDS = 60
PARTS_OF_TIME = {
    "resolve": "resolve",
    "connect": "connect",
    "tls": "TLS",
    "first_byte": "first byte",
    "transfer": "transfer",
}

router = Router(include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]


@dataclass(frozen=True, kw_only=True)
class Told:
    """One result as the page shows it."""

    at: datetime
    state: str
    response_ms: float
    status_code: int
    reason: str
    tries: int
    timings: dict[str, float]
    detail: Detail


@router.get(PREFIX)
def show_check(request: Request, session: Session, project: Viewed, check_id: str) -> Response:
    """All about one check, over a range that the whole page shares."""
    check = listing.get_check_of_project(session, project.id, check_id)
    frame = _frame(request, session, project, check)
    chosen = request.query_params.get("range", "")
    chosen = chosen if chosen in RANGES else DEFAULT_RANGE
    now: datetime = frame["now"]
    since = now - timedelta(days=RANGES[chosen])
    spells = read_spells(session, [check], since=since, until=now, now=now)[check.id]
    without = windows_of(session, check, since=since, until=now)
    uptime = uptime_of(spells, since=since, until=now, without=without)
    told = _told(check, since=since, now=now)
    return render(
        request,
        "health_checks/check.html",
        **frame,
        **_words_of(session, check, now=now),
        strip_width=listing.SLOTS * SLOT_WIDTH,
        range=chosen,
        ranges=[(name, name) for name in RANGES],
        spells=list(reversed(spells))[:MOST_SPELLS_SHOWN],
        may_administer=may_administer(request),
        uptime=uptime,
        uptime_tone=tone_of_uptime(uptime.percent),
        outages=_outages(spells),
        slots=_slots(spells, since=since, until=now),
        figures=columns.ask_figures(check.instance_id, check.id, since=since, until=now),
        parts=_parts(session, check, since=since, now=now),
        told=told,
        latest=told[0] if told else None,
        **_charts(check, since=since, now=now),
    )


@router.get(PREFIX + "/now")
def show_now(request: Request, session: Session, project: Viewed, check_id: str) -> Response:
    """How the check is at this moment, for the part of its page that refreshes by itself."""
    check = listing.get_check_of_project(session, project.id, check_id)
    return Response(
        fragment(
            request,
            "health_checks/now.html",
            base=f"/dashboard/projects/{project.slug}/health-checks",
            **_words_of(session, check, now=utc_now()),
        ),
        media_type="text/html",
    )


@router.get(PREFIX + "/screenshots/{which}")
def show_screenshot(session: Session, project: Viewed, check_id: str, which: str) -> Response:
    """What the browser showed at the end of the last run that went well, or of the last failure."""
    check = listing.get_check_of_project(session, project.id, check_id)
    picture = evidence.find_screenshot(check.id, which)
    if picture is None:
        raise NotFound("There is no such screenshot; it is kept for 30 days.")
    return Response(picture, media_type="image/jpeg")


def _frame(
    request: Request, session: Session, project: ProjectRef, check: HealthCheck
) -> dict[str, Any]:
    frame = project_frame(request, session, project, page="health-checks", now=utc_now())
    instances = instances_of_project(session, project.id)
    instance = next(each for each in instances if each.id == check.instance_id)
    base = f"/dashboard/projects/{project.slug}/health-checks"
    return frame | {"instance": instance, "base": base, "here": f"{base}/{check.id}"}


def _words_of(session: Session, check: HealthCheck, *, now: datetime) -> dict[str, Any]:
    config = configs.config_of(check)
    parent = None
    if check.parent_id:
        found = listing.get_checks(session, check.project_id, [check.parent_id])
        parent = found[0] if found else None
    return {
        "check": check,
        "kind": PROVIDERS[check.kind].LABEL,
        "every": every(check.interval_seconds),
        "lights": LIGHTS,
        "parent": parent,
        "places": places.shown_places(session, check, now=now) if check.asked_elsewhere else [],
        "config": configs.shown(config),
        "secrets": configs.secrets_of(config),
        "screenshots": evidence.list_screenshots(check.id) if check.kind == "browser" else [],
    }


def _parts(
    session: Session, check: HealthCheck, *, since: datetime, now: datetime
) -> list[tuple[HealthPart, list[Run]]]:
    """What the app's own document tells of, each with its states over the range."""
    rows = parts.list_parts(session, check.id)
    spells = parts.spells_of_parts(session, rows, since=since, until=now)
    found = []
    for row in rows:
        of_part = [
            Spell(state=s.state, started_at=s.started_at, ended_at=s.ended_at, reason=s.reason)
            for s in spells[row.id]
        ]
        slots = worst_in_slots(of_part, since=since, until=now, count=listing.SLOTS)
        found.append((row, strip_of(slots, until=now)))
    return found


def _outages(spells: Sequence[Spell]) -> int:
    return sum(spell.state == State.UNHEALTHY for spell in spells)


def _slots(spells: Sequence[Spell], *, since: datetime, until: datetime) -> list[dict[str, str]]:
    found = worst_in_slots(spells, since=since, until=until, count=SLOTS)
    return [
        {
            "status": LIGHTS.get(state, "none") if state else "none",
            "title": f"{start:%d %b %H:%M} UTC: {state or 'no data'}",
        }
        for start, state in found
    ]


def _told(check: HealthCheck, *, since: datetime, now: datetime) -> list[Told]:
    rows = columns.ask_newest(
        check.instance_id, check.id, since=since, until=now, most=MOST_RESULTS
    )
    return [
        Told(
            at=row["at"],
            state=row["state"],
            response_ms=row["response_ms"],
            status_code=row["status_code"],
            reason=row["error"],
            tries=row["tries"],
            timings=timings_of(row),
            detail=read_detail(row["detail"]),
        )
        for row in rows
    ]


def _charts(check: HealthCheck, *, since: datetime, now: datetime) -> dict[str, Any]:
    """Response times over the range, and what they are made of where that is known."""
    span = int((now - since).total_seconds())
    step = max(span // POINTS, check.interval_seconds, SHORTEST_STEP_SECONDS)
    rows = {
        row["time"]: row
        for row in columns.ask_timings(
            check.instance_id, check.id, since=since, until=now, step_seconds=step
        )
    }
    times = list(range(int(since.timestamp()) // step * step, int(now.timestamp()) + 1, step))

    def line(name: str, label: str) -> dict[str, Any]:
        values = [round(rows[time][name], 1) if time in rows else None for time in times]
        return {"label": label, "values": values}

    parts = [line(name, label) for name, label in PARTS_OF_TIME.items()]
    known = [part for part in parts if any(part["values"])]
    return {
        "chart": {
            "times": times,
            "series": [line("average", "average"), line("p95", "p95")],
            "limit": {"value": check.degraded_after_ms, "label": "degraded"},
        },
        "split": {"times": times, "series": known} if len(known) > 1 else None,
    }
