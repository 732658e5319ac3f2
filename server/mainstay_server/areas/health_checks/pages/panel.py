"""What people see of health checks: the panel of a project's page, its buttons, and the tile."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import Response
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.columns import (
    HEALTH_RESULTS,
    ask_figures,
    ask_newest,
    ask_timings,
)
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.areas.health_checks.service import asking, checks, listing, reporting
from mainstay_server.kernel.area import Panel, PanelRequest, Tile
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import (
    read_spells,
    uptime_of,
    windows_of,
    worst_in_slots,
)
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import done_or_refused, redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.service import instances
from mainstay_server.ui import fragment
from mainstay_server.ui.formats import age_in_words, duration_ms, percent

from .words import LIGHTS, TONES, every, tone_of_uptime

router = Router(prefix="/dashboard/projects/{slug}/health/{instance_id}", include_in_schema=False)

Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]

SLOTS = 90
SHOWN_RESULTS = 10
SHOWN_FURTHER = 10
RESULTS_KEPT = timedelta(days=HEALTH_RESULTS.retention_days)
TILE_HOURS = 24
STEP_SECONDS = {1: 60, 6: 300, 24: 900, 168: 7200}


@router.post("/url")
def set_url(
    session: Session,
    instance: Written,
    url: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Say where the instance runs; its health check begins at once."""
    asking = instances.Asking(url=url.strip())
    return done_or_refused(
        session,
        lambda: instances.change_instance(session, instance.id, asking, now=utc_now()),
        path=instance.page("monitoring"),
        done=f"{url.strip()} is being asked now.",
    )


@router.post("/run")
def run_now(instance: Written) -> Response:
    """Ask now and say what was found."""
    with reading() as session:
        check = checks.find_main_check(session, instance.id)
    if check is None:
        return redirect_with(
            instance.page("monitoring"), "Set the URL of the instance first.", "warn"
        )
    try:
        found = asking.ask_now(check.id, clock=utc_now).result
    except Problem as problem:
        return redirect_with(instance.page("monitoring"), problem.detail, "warn")
    if found is None:
        text, tone = "It could not be asked from here; look at its kind and try again.", "warn"
    else:
        about = found.reason or f"answered {found.status_code}"
        text = f"Checked now: {found.state}, {about} ({duration_ms(found.response_ms)})."
        tone = TONES[found.state]
    return redirect_with(instance.page("monitoring"), text, tone)


@router.post("/pause")
def pause(session: Session, instance: Written) -> Response:
    """Stop asking until somebody resumes it."""
    check = checks.find_main_check(session, instance.id)
    if check is not None:
        checks.pause_check(session, check, now=utc_now())
    return redirect_with(
        instance.page("monitoring"), "Paused: this time does not count for uptime."
    )


@router.post("/resume")
def resume(session: Session, instance: Written) -> Response:
    """Ask again, at once."""
    check = checks.find_main_check(session, instance.id)
    if check is not None:
        checks.resume_check(session, check, now=utc_now())
    return redirect_with(instance.page("monitoring"), "Resumed: it is being asked now.")


def draw_panel(asked: PanelRequest) -> str:
    """The health of one instance over the page's range, or how to begin."""
    check = checks.find_main_check(asked.session, asked.instance.id)
    shown = {} if check is None else _what_is_known(asked, check)
    return fragment(
        asked.request,
        "health_checks/panel.html",
        check=check,
        instance=asked.instance,
        hours=asked.hours,
        may_write=asked.may_write,
        lights=LIGHTS,
        **shown,
    )


def tiles(session: Session, instance_ids: Sequence[str], now: datetime) -> Mapping[str, Tile]:
    """Uptime over 24 hours of each instance that has a health check, hour by hour as a line."""
    since = now - timedelta(hours=TILE_HOURS)
    found = checks.main_checks(session, instance_ids)
    spells = read_spells(session, list(found.values()), since=since, until=now, now=now)
    made = {}
    for instance_id, check in found.items():
        windows = windows_of(session, check, since=since, until=now)
        whole = uptime_of(spells[check.id], since=since, until=now, without=windows).percent
        hours = [since + timedelta(hours=hour) for hour in range(TILE_HOURS)]
        made[instance_id] = Tile(
            label="Uptime 24 h",
            value=percent(whole, 2),
            tone=_worse(TONES.get(HealthState(check.state), "neutral"), tone_of_uptime(whole)),
            hint=f"{check.state}, since {age_in_words(now - check.state_since)}",
            page="monitoring",
            spark=tuple(
                uptime_of(spells[check.id], since=hour, until=hour + timedelta(hours=1)).percent
                for hour in hours
            ),
        )
    return made


def summary(
    session: Session, instance_ids: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, Any]]:
    """Health over the last 24 hours, for the summaries of instances."""
    return reporting.summaries(session, instance_ids, now=now)


panel = Panel(page="monitoring", name="health", title="Health", order=20, draw=draw_panel)


def _what_is_known(asked: PanelRequest, check: HealthCheck) -> dict[str, Any]:
    since = asked.now - timedelta(hours=asked.hours)
    spells = read_spells(asked.session, [check], since=since, until=asked.now, now=asked.now)[
        check.id
    ]
    figures = ask_figures(check.instance_id, check.id, since=since, until=asked.now)
    windows = windows_of(asked.session, check, since=since, until=asked.now)
    uptime = uptime_of(spells, since=since, until=asked.now, without=windows).percent
    slots = worst_in_slots(spells, since=since, until=asked.now, count=SLOTS)
    further, count = listing.further_of(asked.session, check, limit=SHOWN_FURTHER)
    return {
        "figures": figures if figures["checks"] else None,
        "every": every(check.interval_seconds),
        "recent": ask_newest(
            check.instance_id,
            check.id,
            since=asked.now - RESULTS_KEPT,
            until=asked.now,
            most=SHOWN_RESULTS,
        ),
        "further": further,
        "further_count": count,
        "uptime": uptime,
        "uptime_tone": tone_of_uptime(uptime),
        "slots": [
            {
                "status": LIGHTS.get(state, "none") if state else "none",
                "title": f"{start:%d %b %H:%M} UTC: {state or 'no data'}",
            }
            for start, state in slots
        ],
        "chart": _chart(asked, check, since),
    }


def _worse(one: str, other: str) -> str:
    """The more alarming of two tones; of two that do not alarm, the first."""
    return next((tone for tone in ("critical", "warn") if tone in (one, other)), one)


def _chart(asked: PanelRequest, check: HealthCheck, since: datetime) -> dict[str, Any]:
    step = STEP_SECONDS.get(asked.hours, max(asked.hours * 40, 60))
    rows = {
        row["time"]: row
        for row in ask_timings(
            check.instance_id, check.id, since=since, until=asked.now, step_seconds=step
        )
    }
    first = int(since.timestamp()) // step * step
    times = list(range(first, int(asked.now.timestamp()) + 1, step))
    return {
        "times": times,
        "series": [
            {"label": label, "values": [_value(rows.get(time), name) for time in times]}
            for label, name in (("average", "average"), ("p95", "p95"))
        ],
        "limit": {"value": check.degraded_after_ms, "label": "degraded"},
    }


def _value(row: Mapping[str, Any] | None, name: str) -> float | None:
    return None if row is None else round(row[name], 1)
