"""The form for a heartbeat: its schedule with the next turns, and everything that it expects."""

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import available_timezones

from fastapi import Query
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.areas.heartbeats.models import Heartbeat, ScheduleKind
from mainstay_server.areas.heartbeats.schemas.api import NewHeartbeat
from mainstay_server.areas.heartbeats.service import heartbeats, making
from mainstay_server.areas.heartbeats.service.schedules import (
    Schedule,
    checked_schedule,
    next_turns,
)
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.problems import Conflict, Invalid, Problem
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.frame import redirect_with
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import fragment, render

from .frame import instance_frame, own_instance
from .seen import page_of

router = Router()
Managed = Annotated[ProjectRef, access.project(Role.MEMBER)]
Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]

FORM = "/dashboard/projects/{slug}/heartbeats/{instance_id}"
NEW = "new"
UNITS = (("60", "minutes"), ("3600", "hours"), ("86400", "days"))
TOGGLES = ("manual_resume", "filter_subject", "filter_body", "filter_http_body")
TOGGLES_MORE = ("filter_default_fail",)
LENGTHS = (
    "early_seconds",
    "start_grace_seconds",
    "min_duration_seconds",
    "max_duration_seconds",
    "most_reports",
    "most_reports_seconds",
    "fail_after",
    "recover_after",
    "tell_after_seconds",
)
TEXTS = (
    "name",
    "slug",
    "description",
    "expression",
    "time_zone",
    "methods",
    "start_words",
    "success_words",
    "failure_words",
)
AMOUNTS = ("period_amount", "period_unit", "grace_amount", "grace_unit")
FIELDS = (*TEXTS, *LENGTHS, *TOGGLES, *TOGGLES_MORE, *AMOUNTS, "tags", "schedule_kind")
SHOWN_TURNS = 10
MAY_BE_EMPTY = ("description", "methods", "start_words", "success_words", "failure_words")


@router.get("/dashboard/projects/{slug}/heartbeat-turns")
def show_turns(
    request: Request,
    project: Viewed,  # noqa: ARG001 - who may ask
    schedule_kind: Annotated[str, Query(max_length=20)] = "cron",
    expression: Annotated[str, Query(max_length=200)] = "",
    time_zone: Annotated[str, Query(max_length=60)] = "UTC",
) -> Response:
    """The next turns of what stands in the form, while it is typed."""
    now = utc_now()
    fault, turns = "", []
    try:
        wanted = Schedule(
            kind=ScheduleKind(schedule_kind), expression=expression, time_zone=time_zone
        )
        if wanted.kind != ScheduleKind.PERIOD and expression.strip():
            turns = next_turns(checked_schedule(wanted, now=now), after=now, count=SHOWN_TURNS)
    except (Problem, ValueError) as problem:
        fault = problem.detail if isinstance(problem, Problem) else "Choose a kind of schedule."
    shown = [f"{turn:%a %d %b %Y, %H:%M:%S %Z}" for turn in turns]
    return Response(
        fragment(request, "heartbeats/turns.html", turns=shown, fault=fault),
        media_type="text/html",
    )


@router.get(FORM + "/{heartbeat_id}/change")
def show_form(
    request: Request, session: Session, project: Managed, instance_id: str, heartbeat_id: str
) -> Response:
    """The form, empty for `new`."""
    found = _found(session, project, instance_id, heartbeat_id)
    return _form(request, session, project, instance_id, _values_of(found), found=found)


@router.post(FORM + "/{heartbeat_id}/change")
async def save(request: Request, project: Managed, instance_id: str, heartbeat_id: str) -> Response:
    """Make it, or change it; a refusal shows the form again with what was typed."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    return await run_in_threadpool(_save, request, project, instance_id, heartbeat_id, sent)


def _save(
    request: Request,
    project: ProjectRef,
    instance_id: str,
    heartbeat_id: str,
    sent: Mapping[str, str],
) -> Response:
    try:
        values = _read(sent)
        with transaction() as session:
            instance = own_instance(session, project, instance_id)
            if heartbeat_id == NEW:
                row = making.make_heartbeat(session, instance, values, now=utc_now())
            else:
                row = heartbeats.get_to_change(session, instance.id, heartbeat_id)
                making.change_values(session, row, values, now=utc_now())
            path = page_of(instance, row)
    except (Invalid, Conflict) as problem:
        fault = problem.detail
        with reading() as session:
            found = _found(session, project, instance_id, heartbeat_id)
            return _form(request, session, project, instance_id, sent, found=found, fault=fault)
    done = "It is waited for from its first report on." if heartbeat_id == NEW else "Changed."
    return redirect_with(path, done)


def _form(  # noqa: PLR0913 - a form is all of this
    request: Request,
    session: Session,
    project: ProjectRef,
    instance_id: str,
    values: Mapping[str, Any],
    *,
    found: Heartbeat | None,
    fault: str = "",
) -> Response:
    return render(
        request,
        "heartbeats/form.html",
        status_code=400 if fault else 200,
        **instance_frame(request, session, project, instance_id, now=utc_now()),
        values=dict.fromkeys(FIELDS, "") | dict(values),
        found=found,
        fault=fault,
        units=UNITS,
        zones=sorted(available_timezones()),
    )


def _found(
    session: Session, project: ProjectRef, instance_id: str, heartbeat_id: str
) -> Heartbeat | None:
    """The heartbeat that is to change, of this project's instance; None for `new`."""
    if heartbeat_id == NEW:
        return None
    instance = own_instance(session, project, instance_id)
    return heartbeats.get_heartbeat(session, instance.id, heartbeat_id)


def _read(sent: Mapping[str, str]) -> dict[str, Any]:
    """The form as values. Raises `Invalid` with the first fault."""
    body: dict[str, Any] = {
        name: sent[name].strip()
        for name in TEXTS
        if name in sent and (sent[name].strip() or name in MAY_BE_EMPTY)
    }
    body["schedule_kind"] = sent.get("schedule_kind", ScheduleKind.PERIOD)
    body["tags"] = sent.get("tags", "").replace(",", " ").split()
    for name in ("period", "grace"):
        body[f"{name}_seconds"] = _length(sent, name)
    for name in LENGTHS:
        text = sent.get(name, "").strip()
        if text:
            body[name] = text
    for name in (*TOGGLES, *TOGGLES_MORE):
        body[name] = sent.get(name) == "on"
    try:
        wanted = NewHeartbeat.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]).replace("_", " ")
        raise Invalid(f"{field.capitalize()}: {first['msg']}.") from error
    cleared = dict.fromkeys(
        ("start_grace_seconds", "min_duration_seconds", "max_duration_seconds", "most_reports")
    )
    given = {name: value for name, value in wanted.model_dump().items() if value is not None}
    return cleared | given


def _length(sent: Mapping[str, str], name: str) -> int:
    try:
        return round(float(sent.get(f"{name}_amount", "")) * int(sent.get(f"{name}_unit", "60")))
    except (ValueError, OverflowError):
        raise Invalid(f"The {name} must be a number and a unit, such as 1 and days.") from None


def _values_of(row: Heartbeat | None) -> dict[str, Any]:
    """What stands in the form: a heartbeat as it is, or what most jobs want."""
    values: dict[str, Any] = {"schedule_kind": ScheduleKind.PERIOD, "time_zone": "UTC"}
    seconds = {"period": 86_400, "grace": 3_600}
    if row is not None:
        values = {
            name: getattr(row, name)
            for name in ("schedule_kind", *TEXTS, *LENGTHS, *TOGGLES, *TOGGLES_MORE)
        }
        values["tags"] = " ".join(row.tags)
        seconds = {"period": row.period_seconds, "grace": row.grace_seconds}
    for name, amount in seconds.items():
        unit = next((int(u) for u, _ in reversed(UNITS) if amount % int(u) == 0), 60)
        values[f"{name}_amount"] = f"{amount / unit:g}"
        values[f"{name}_unit"] = str(unit)
    return values
