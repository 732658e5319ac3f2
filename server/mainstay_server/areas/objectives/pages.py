"""The pages of objectives: all of them, one with its budget, and the report of a month."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import Form
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.watching import State, list_watched
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import done_or_refused, project_frame
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef
from mainstay_server.ui import render

from .models import Kind, Objective, Source
from .schemas import ObjectiveBody
from .service import judging, reporting, setting
from .service.burning import severities, window_name
from .service.judging import Standing
from .service.periods import month_of

PREFIX = "/dashboard/projects/{slug}/objectives"
PER_PAGE = 50
MOST_SUBJECTS = 500
POINTS = 60
MONTHS_SHOWN = 13
PERIODS = (
    ("30d", "The last 30 days"),
    ("28d", "The last 28 days"),
    ("7d", "The last 7 days"),
    ("month", "The calendar month"),
)
COLUMNS = (
    "kind",
    "name",
    "environment",
    "target percent",
    "achieved percent",
    "budget left percent",
    "coverage percent",
    "down seconds",
    "degraded seconds",
    "unknown seconds",
    "maintenance seconds",
    "state",
)
# What a spreadsheet would take for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")

router = Router(prefix=PREFIX, include_in_schema=False)

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
Text = Annotated[str, Form(max_length=500)]


@router.get("")
def show_objectives(request: Request, session: Session, project: Viewed) -> Response:
    """The objectives of a project with what is left of each, and the usual targets."""
    now = utc_now()
    asked = request.query_params
    text = asked.get("q", "")[:100]
    page = setting.list_objectives(
        session, project.id, text=text, limit=PER_PAGE, cursor=asked.get("cursor", "")
    )
    frame = project_frame(request, session, project, page="objectives", now=now)
    names = {each.id: each.environment for each in frame["instances"]}
    return _page(
        request,
        frame,
        "list",
        objectives=[
            (each, judging.stand(session, each, now=now), severities(each.burning))
            for each in page.items
        ],
        next_cursor=page.next_cursor,
        text=text,
        environments=names,
        presets=setting.presets_of(session, frame["instance"], now=now),
        watched=list_watched(session, project.id, limit=MOST_SUBJECTS),
        server=base_url(request),
    )


@router.post("/new")
def set_objective(  # noqa: PLR0913 - the fields of a form
    session: Session,
    project: Written,
    *,
    name: Text = "",
    counted: Text = "",
    kind: Text = "availability",
    environment: Text = "production",
    route: Text = "",
    threshold_ms: Text = "",
    target_percent: Text = "99.9",
    period: Text = "30d",
) -> Response:
    """Set an objective. `counted` is `requests`, or the id of something watched."""
    requests = counted == Source.REQUESTS

    def act() -> None:
        wanted = _checked(
            {
                "name": name.strip(),
                "kind": kind,
                "source": Source.REQUESTS if requests else Source.WATCHED,
                "environment": environment,
                "subject_id": "" if requests else counted,
                "route": route.strip() if requests else "",
                "threshold_ms": threshold_ms.strip() or 0
                if requests and kind == Kind.LATENCY
                else 0,
                "target_percent": target_percent.replace(",", ".").replace("%", "").strip(),
                "period": period,
            }
        )
        setting.set_objective(session, project, wanted, now=utc_now())

    return done_or_refused(
        session, act, path=_home(project), done=f"{name.strip()} is an objective now."
    )


@router.get("/report")
def show_report(request: Request, session: Session, project: Viewed) -> Response:
    """The report of a month, to be read and printed."""
    now = utc_now()
    frame = project_frame(request, session, project, page="objectives", now=now)
    report = _report(request, session, project, frame["instances"], now=now)
    return _page(
        request,
        frame,
        "report",
        report=report,
        State=State,
        months=_months(now),
        chosen=request.query_params.get("environment", ""),
    )


@router.get("/report.csv")
def download_report(request: Request, session: Session, project: Viewed) -> Response:
    """The same figures as a file for spreadsheets."""
    now = utc_now()
    frame = project_frame(request, session, project, page="objectives", now=now)
    report = _report(request, session, project, frame["instances"], now=now)
    file = f"{project.slug}-{report.month:%Y-%m}.csv"
    return Response(
        csv_of(report),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{file}"'},
    )


@router.get("/{objective_id:id}")
def show_objective(
    request: Request, session: Session, project: Viewed, objective_id: str
) -> Response:
    """One objective: its budget, how it was spent, its burn rates, and the gate."""
    now = utc_now()
    objective = setting.get_objective(session, project, objective_id)
    standing = judging.stand(session, objective, now=now)
    frame = project_frame(request, session, project, page="objectives", now=now)
    names = {each.id: each.environment for each in frame["instances"]}
    gate, reason = reporting.gate_of(objective, standing)
    return _page(
        request,
        frame,
        "one",
        objective=objective,
        standing=standing,
        burning=severities(objective.burning),
        environment=names.get(objective.instance_id, ""),
        chart=chart_of(objective, standing, now=now),
        gate=gate,
        reason=reason,
        server=base_url(request),
    )


@router.post("/{objective_id:id}/change")
def change_objective(
    session: Session,
    project: Written,
    objective_id: str,
    *,
    name: Text = "",
    target_percent: Text = "",
    period: Text = "30d",
) -> Response:
    """Change its name, target or period."""

    def act() -> None:
        found = setting.get_objective(session, project, objective_id)
        wanted = _checked(
            {
                "name": name.strip(),
                "source": found.source,
                "target_percent": target_percent.replace(",", "."),
                "period": period,
            }
        )
        changes = {each: wanted[each] for each in ("name", "target_percent", "period")}
        setting.change_objective(session, project, objective_id, changes, now=utc_now())

    path = f"{_home(project)}/{objective_id}"
    return done_or_refused(session, act, path=path, done="Changed; its past is judged anew.")


@router.post("/{objective_id:id}/remove")
def remove_objective(session: Session, project: Written, objective_id: str) -> Response:
    """Remove an objective."""
    return done_or_refused(
        session,
        lambda: setting.remove_objective(session, project, objective_id, now=utc_now()),
        path=_home(project),
        done="It was removed, and alerts about it end.",
    )


def chart_of(objective: Objective, standing: Standing, *, now: datetime) -> dict[str, Any] | None:
    """How the budget was spent over the period: what was left after each step, signed percent.

    All is measured against the budget of the whole period, so the last point is what is left now.
    """
    if standing.budget_left is None:
        return None
    since = standing.span.since
    step = (now - since) / POINTS
    allowed = standing.amount.total * (100 - objective.target_percent) / 100
    times = [since + step * (number + 1) for number in range(POINTS)]
    left = [100 * (1 - standing.measured.between(since, at).bad / allowed) for at in times]
    return {
        "times": [round(at.timestamp()) for at in times],
        "series": [{"label": "Budget left", "values": [round(each, 3) for each in left]}],
        "limit": {"value": 0, "label": "nothing left"},
    }


def csv_of(report: reporting.Report) -> str:
    """A report as CSV; names that a spreadsheet would take for formulas are made harmless."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    state = "frozen" if report.is_over else "so far"
    for line in report.watched:
        figures = (
            line.uptime.percent,
            None,
            line.uptime.coverage,
            line.seconds(State.UNHEALTHY),
            line.seconds(State.DEGRADED),
            line.seconds(State.UNKNOWN),
            line.uptime.maintenance.total_seconds(),
        )
        kept = "frozen" if line.frozen else "so far" if not report.is_over else "not frozen yet"
        head = (line.watched.kind, _harmless(line.watched.name), _harmless(line.environment), "")
        writer.writerow([*head, *map(_figure, figures), kept])
    for each in report.objectives:
        promised = (
            "objective",
            _harmless(each.objective.name),
            _harmless(each.environment),
            _figure(each.objective.target_percent),
        )
        figures_of_it = map(_figure, (each.achieved_percent, each.left_percent))
        met = {True: "kept", False: "missed", None: "nothing counted"}[each.is_met]
        writer.writerow([*promised, *figures_of_it, "", "", "", "", "", f"{met}, {state}"])
    return file.getvalue()


def _report(
    request: Request,
    session: Session,
    project: ProjectRef,
    instances: Sequence[Any],
    *,
    now: datetime,
) -> reporting.Report:
    wanted = request.query_params.get("environment", "")
    found = [each.id for each in instances if each.environment == wanted]
    if wanted and not found:
        raise Invalid(f"The project has no environment {wanted[:40]!r}.")
    return reporting.report_of(
        session,
        project,
        month_of(request.query_params.get("month", "")[:7], now=now),
        instance_id=found[0] if found else "",
        now=now,
    )


def _months(now: datetime) -> list[date]:
    """This month and the twelve before, newest first."""
    months = [now.date().replace(day=1)]
    while len(months) < MONTHS_SHOWN:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a form as the API would take them. Raises `Invalid` with the first fault."""
    try:
        return ObjectiveBody.model_validate(values).model_dump()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = str(fault["loc"][0]).replace("_", " ")
        raise Invalid(f"The {place} is not right: {fault['msg']}.") from None


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULAS) else text


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def _home(project: ProjectRef) -> str:
    return f"/dashboard/projects/{project.slug}/objectives"


def _page(
    request: Request,
    frame: Mapping[str, Any],
    part: str,
    **context: Any,  # noqa: ANN401 - a template's names
) -> Response:
    return render(
        request,
        f"objectives/{part}.html",
        **frame,
        base=_home(frame["project"]),
        PERIODS=PERIODS,
        window_name=window_name,
        **context,
    )


menu = MenuEntry(label="Objectives", page="objectives", icon="target", group="respond", order=50)
