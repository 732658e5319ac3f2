"""Setting objectives: checked, listed, changed, removed; and the usual targets against reality."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.objectives.models import (
    Kind,
    Objective,
    ObjectiveHour,
    Period,
    Source,
    Status,
)
from mainstay_server.contracts.objectives import (
    ErrorBudgetCalm,
    ObjectiveChanged,
    ObjectiveCreated,
    ObjectiveRemoved,
)
from mainstay_server.contracts.requests import count_bad_requests
from mainstay_server.kernel.database import new_id
from mainstay_server.kernel.events import changes_between, facts_of, say
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import find_watched, list_watched
from mainstay_server.tenancy.models import Project
from mainstay_server.tenancy.subjects import ProjectRef, find_environment, find_instance

from .burning import severities
from .judging import SEVERITIES, judge, told_of
from .measuring import watched_since

MOST_PER_PROJECT = 100
THIRTY_DAYS = timedelta(days=30)
DAY_SECONDS = 86_400
FACTS = (
    "name",
    "kind",
    "source",
    "subject_id",
    "route",
    "threshold_ms",
    "target_percent",
    "period",
)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A usual target against what was achieved over 30 days; None where nothing was counted."""

    name: str
    kind: Kind
    source: Source
    subject_id: str = ""
    threshold_ms: int = 0
    target_percent: float
    achieved_percent: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether reality meets it."""
        if self.achieved_percent is None:
            return None
        return self.achieved_percent >= self.target_percent


def set_objective(
    session: Session, project: ProjectRef, wanted: Mapping[str, Any], *, now: datetime
) -> Objective:
    """Set an objective, judged at once by what is known of the past.

    Raises:
        Invalid: what it should be counted by is not there, or makes no sense.
        Conflict: the project has as many as it may.
    """
    session.get_one(Project, project.id, with_for_update=True)  # one at a time, or two go in
    count = session.scalar(
        sa.select(sa.func.count()).select_from(Objective).where(Objective.project_id == project.id)
    )
    if (count or 0) >= MOST_PER_PROJECT:
        raise Conflict(f"The project has {MOST_PER_PROJECT} objectives; remove one first.")
    instance = _counted_by(session, project, wanted)
    objective = Objective(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        instance_id=instance.id,
        name=str(wanted["name"]).strip(),
        kind=Kind(wanted["kind"]),
        source=Source(wanted["source"]),
        subject_id=wanted["subject_id"] if wanted["source"] == Source.WATCHED else "",
        route=wanted["route"],
        threshold_ms=wanted["threshold_ms"],
        target_percent=wanted["target_percent"],
        period=Period(wanted["period"]),
        created_at=now,
        status=Status.OK,
        burning={},
    )
    session.add(objective)
    session.flush()
    changes = changes_between({}, facts_of(objective, FACTS))
    say(session, ObjectiveCreated(**_names(objective), changes=changes), now=now)
    judge(session, objective, now=now)
    return objective


def change_objective(
    session: Session,
    project: ProjectRef,
    objective_id: str,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> Objective:
    """Change its name, target or period; judged anew at once."""
    objective = get_objective(session, project, objective_id, locked=True)
    before = facts_of(objective, FACTS)
    for name, value in changes.items():
        setattr(objective, name, Period(value) if name == "period" else value)
    session.flush()
    changed = changes_between(before, facts_of(objective, FACTS))
    if changed:
        say(session, ObjectiveChanged(**_names(objective), changes=changed), now=now)
        judge(session, objective, now=now)
    return objective


def remove_objective(
    session: Session, project: ProjectRef, objective_id: str, *, now: datetime
) -> None:
    """Remove an objective; what was said to burn is said to be calm, since nobody looks on."""
    objective = get_objective(session, project, objective_id, locked=True)
    burning = severities(objective.burning)
    for severity in SEVERITIES:
        if severity in burning:
            say(session, ErrorBudgetCalm(**told_of(objective), severity=severity), now=now)
    changes = changes_between(facts_of(objective, FACTS), {})
    say(session, ObjectiveRemoved(**_names(objective), changes=changes), now=now)
    session.execute(sa.delete(ObjectiveHour).where(ObjectiveHour.objective_id == objective.id))
    session.delete(objective)
    session.flush()


def get_objective(
    session: Session, project: ProjectRef, objective_id: str, *, locked: bool = False
) -> Objective:
    """The project's objective of this id. Raises `NotFound`."""
    found = session.get(Objective, objective_id, with_for_update=locked or None)
    if found is None or found.project_id != project.id:
        raise NotFound("The project has no such objective; list them first.")
    return found


def list_objectives(
    session: Session, project_id: str, *, text: str = "", limit: int, cursor: str = ""
) -> Page[Objective]:
    """The objectives of a project, by name."""
    statement = (
        sa.select(Objective)
        .where(Objective.project_id == project_id)
        .order_by(Objective.name, Objective.id)
        .limit(limit + 1)
    )
    if text:
        statement = statement.where(Objective.name.icontains(text, autoescape=True))
    after = decode_cursor(cursor, parts=2)
    if after is not None:
        position = sa.tuple_(Objective.name, Objective.id)
        statement = statement.where(position > (str(after[0]), str(after[1])))
    found = session.scalars(statement).all()
    return page_of(found, limit=limit, key=lambda each: (each.name, each.id))


def presets_of(session: Session, instance: InstanceRef, *, now: datetime) -> list[Preset]:
    """The usual targets of an instance against its last 30 days.

    Of what is watched, its first health check by name stands for the instance.
    """
    presets = []
    watched = next(
        (
            each
            for each in list_watched(session, instance.project_id)
            if each.instance_id == instance.id and each.kind == "health_check"
        ),
        None,
    )
    if watched is not None:
        for name, kind in (("Uptime", Kind.AVAILABILITY), ("Answers in time", Kind.LATENCY)):
            measured = watched_since(session, watched, kind, since=now - THIRTY_DAYS, now=now)
            amount = measured.between(now - THIRTY_DAYS, now)
            presets.append(
                Preset(
                    name=name,
                    kind=kind,
                    source=Source.WATCHED,
                    subject_id=watched.id,
                    target_percent=99.9 if kind is Kind.AVAILABILITY else 99.0,
                    achieved_percent=100 * (1 - amount.bad_share) if amount.total else None,
                )
            )
    for name, kind, threshold, target in (
        ("Requests succeed", Kind.AVAILABILITY, 0, 99.0),
        ("Requests within 300 ms", Kind.LATENCY, 300, 95.0),
        ("Requests within 2 s", Kind.LATENCY, 2000, 99.0),
    ):
        presets.append(
            Preset(
                name=name,
                kind=kind,
                source=Source.REQUESTS,
                threshold_ms=threshold,
                target_percent=target,
                achieved_percent=_requests_achieved(instance.id, threshold, now=now),
            )
        )
    return presets


def _requests_achieved(instance_id: str, threshold_ms: int, *, now: datetime) -> float | None:
    if not count_bad_requests.is_answered:
        return None
    found = count_bad_requests(
        instance_id,
        since=now - THIRTY_DAYS,
        until=now,
        step_seconds=DAY_SECONDS,
        slower_than_ms=threshold_ms or None,
    )
    total = sum(each.total for each in found)
    return 100 * (1 - sum(each.bad for each in found) / total) if total else None


def _counted_by(session: Session, project: ProjectRef, wanted: Mapping[str, Any]) -> InstanceRef:
    """The instance whose requests or watched subject are counted. Raises `Invalid`."""
    if wanted["source"] == Source.WATCHED:
        watched = find_watched(session, [wanted["subject_id"]]).get(wanted["subject_id"])
        if watched is None or watched.project_id != project.id:
            raise Invalid("subjectId is no health check or heartbeat of the project.")
        if wanted["route"] or wanted["threshold_ms"]:
            raise Invalid("route and thresholdMs are for requests; a check has limits of its own.")
        instance = find_instance(session, watched.instance_id)
        assert instance is not None, "what is watched belongs to an instance"
        return instance
    if wanted["subject_id"]:
        raise Invalid("subjectId is for what is watched; requests have a route.")
    if (wanted["kind"] == Kind.LATENCY) != bool(wanted["threshold_ms"]):
        raise Invalid("thresholdMs belongs to the latency of requests: slower answers are bad.")
    found = find_environment(session, project.id, wanted["environment"])
    if found is None:
        raise Invalid(f"The project has no environment {wanted['environment'][:40]!r}.")
    return found


def _names(objective: Objective) -> dict[str, Any]:
    return {
        "organization_id": objective.organization_id,
        "project_id": objective.project_id,
        "instance_id": objective.instance_id,
        "objective_id": objective.id,
        "name": objective.name,
    }
