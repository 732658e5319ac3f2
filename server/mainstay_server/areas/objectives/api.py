"""The API of objectives: set, looked at, asked before a change goes out, reported by month."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import State
from mainstay_server.kernel.web import Cursor, Limit, Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, find_environment

from .models import Objective
from .schemas import (
    BurnAnswer,
    GateAnswer,
    ObjectiveAnswer,
    ObjectiveBody,
    ObjectiveChanges,
    ObjectiveMonth,
    ObjectivesAnswer,
    PresetAnswer,
    PresetsAnswer,
    ReportAnswer,
    WatchedMonth,
)
from .service import judging, reporting, setting
from .service.burning import SEVERITY_ORDER, Burn, severities, window_name
from .service.periods import month_of

OBJECTIVES = "/api/projects/{slug}/objectives"
OBJECTIVE = OBJECTIVES + "/{objective_id}"

router = Router()

Viewed = Annotated[ProjectRef, access.project(Role.VIEWER)]
Written = Annotated[ProjectRef, access.project(Role.MEMBER)]
ViewedInstance = Annotated[InstanceRef, access.instance(Role.VIEWER)]


@router.get(OBJECTIVES, summary="List objectives")
def list_objectives(
    session: Session,
    project: Viewed,
    *,
    q: Annotated[str, Query(max_length=100, description="In the name.")] = "",
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> ObjectivesAnswer:
    """The objectives of a project, by name, as they stand now."""
    now = utc_now()
    page = setting.list_objectives(session, project.id, text=q, limit=limit, cursor=cursor)
    return ObjectivesAnswer(
        objectives=[answer_of(session, each, now=now) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(OBJECTIVES, summary="Set an objective", status_code=201)
def set_objective(session: Session, project: Written, body: ObjectiveBody) -> ObjectiveAnswer:
    """Set an objective; it is judged at once by what is known of the past."""
    now = utc_now()
    made = setting.set_objective(session, project, body.model_dump(), now=now)
    return answer_of(session, made, now=now)


@router.get(OBJECTIVE, summary="One objective")
def get_objective(session: Session, project: Viewed, objective_id: str) -> ObjectiveAnswer:
    """An objective as it stands now: its budget, its burn rates, and when nothing is left."""
    found = setting.get_objective(session, project, objective_id)
    return answer_of(session, found, now=utc_now())


@router.patch(OBJECTIVE, summary="Change an objective")
def change_objective(
    session: Session, project: Written, objective_id: str, changes: ObjectiveChanges
) -> ObjectiveAnswer:
    """Change its name, target or period; its past is judged by it anew."""
    now = utc_now()
    given = {name: value for name, value in changes if value is not None}
    changed = setting.change_objective(session, project, objective_id, given, now=now)
    return answer_of(session, changed, now=now)


@router.delete(OBJECTIVE, summary="Remove an objective", status_code=204)
def remove_objective(session: Session, project: Written, objective_id: str) -> None:
    """Remove an objective; alerts about it end."""
    setting.remove_objective(session, project, objective_id, now=utc_now())


@router.get(OBJECTIVE + "/gate", summary="Ask whether a change may go out")
def get_gate(session: Session, project: Viewed, objective_id: str) -> GateAnswer:
    """`frozen` once the error budget is spent, or while it burns so fast that somebody is paged.

    For pipelines: whoever gets `frozen` should not ship anything that can wait.
    """
    found = setting.get_objective(session, project, objective_id)
    standing = judging.stand(session, found, now=utc_now())
    status, reason = reporting.gate_of(found, standing)
    return GateAnswer(
        status=status, reason=reason, budget_left_percent=_rounded(standing.budget_left)
    )


@router.get(
    "/api/instances/{instance_id}/objective-presets", summary="Usual targets against reality"
)
def get_presets(session: Session, instance: ViewedInstance) -> PresetsAnswer:
    """Uptime, latency and errors as they are usually promised, and what the last 30 days were."""
    return PresetsAnswer(
        presets=[
            PresetAnswer(
                name=each.name,
                kind=each.kind.value,
                source=each.source.value,
                subject_id=each.subject_id,
                threshold_ms=each.threshold_ms,
                target_percent=each.target_percent,
                achieved_percent=_rounded(each.achieved_percent),
                is_met=each.is_met,
            )
            for each in setting.presets_of(session, instance, now=utc_now())
        ]
    )


@router.get("/api/projects/{slug}/sla-report", summary="The report of a month")
def get_report(
    session: Session,
    project: Viewed,
    *,
    month: Annotated[
        str, Query(max_length=7, description="Default: this one.", examples=["2026-10"])
    ] = "",
    environment: Annotated[str, Query(max_length=100, description="Default: all.")] = "",
) -> ReportAnswer:
    """Uptime of everything watched and what of each objective was kept, over a calendar month."""
    now = utc_now()
    report = reporting.report_of(
        session,
        project,
        month_of(month, now=now),
        instance_id=_instance_of(session, project, environment),
        now=now,
    )
    return answer_of_report(report)


def answer_of_report(report: reporting.Report) -> ReportAnswer:
    """A report as the API gives it; pages and files show the same figures."""
    return ReportAnswer(
        project=report.project.slug,
        month=report.month,
        until=report.until,
        is_over=report.is_over,
        watched=[
            WatchedMonth(
                id=line.watched.id,
                kind=line.watched.kind,
                name=line.watched.name,
                instance_id=line.watched.instance_id,
                environment=line.environment,
                uptime_percent=_rounded(line.uptime.percent),
                coverage_percent=_rounded(line.uptime.coverage),
                down_seconds=line.seconds(State.UNHEALTHY),
                degraded_seconds=line.seconds(State.DEGRADED),
                unknown_seconds=line.seconds(State.UNKNOWN),
                maintenance_seconds=line.uptime.maintenance.total_seconds(),
                frozen=line.frozen,
            )
            for line in report.watched
        ],
        objectives=[
            ObjectiveMonth(
                id=line.objective.id,
                name=line.objective.name,
                environment=line.environment,
                target_percent=line.objective.target_percent,
                achieved_percent=_rounded(line.achieved_percent),
                budget_left_percent=_rounded(line.left_percent),
                total=round(line.amount.total, 3),
                bad=round(line.amount.bad, 3),
                is_met=line.is_met,
            )
            for line in report.objectives
        ],
    )


def answer_of(session: Session, objective: Objective, *, now: datetime) -> ObjectiveAnswer:
    """An objective as it stands now."""
    standing = judging.stand(session, objective, now=now)
    burning = severities(objective.burning)
    return ObjectiveAnswer(
        id=objective.id,
        instance_id=objective.instance_id,
        name=objective.name,
        kind=objective.kind,
        source=objective.source,
        subject_id=objective.subject_id,
        route=objective.route,
        threshold_ms=objective.threshold_ms,
        target_percent=objective.target_percent,
        period=objective.period,
        status=objective.status,
        burning=[each for each in SEVERITY_ORDER if each in burning],
        achieved_percent=_rounded(standing.achieved_percent),
        budget_left_percent=_rounded(standing.budget_left),
        total=round(standing.amount.total, 3),
        bad=round(standing.amount.bad, 3),
        exhausted_at=standing.exhausted_at,
        burns=[_burn(each, objective) for each in standing.burns],
        created_at=objective.created_at,
    )


def _burn(burn: Burn, objective: Objective) -> BurnAnswer:
    return BurnAnswer(
        severity=burn.rule.severity,
        long_window=window_name(burn.rule.long),
        short_window=window_name(burn.rule.short),
        factor=round(burn.factor, 3),
        long_burn=round(burn.long, 3),
        short_burn=round(burn.short, 3),
        has_history=burn.has_history,
        burning=bool(objective.burning.get(burn.rule.key, {}).get("burns")),
    )


def _instance_of(session: Session, project: ProjectRef, environment: str) -> str:
    if not environment:
        return ""
    found = find_environment(session, project.id, environment)
    if found is None:
        raise Invalid(f"The project has no environment {environment[:40]!r}.")
    return found.id


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 4)
