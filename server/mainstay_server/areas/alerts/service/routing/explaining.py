"""Why somebody is told or not: of labels that somebody asks about, and of what waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertChannel, AlertStatus, Severity
from mainstay_server.areas.alerts.models.routing import (
    AlertGroup,
    AlertRoute,
    AlertTelling,
    Ending,
    TellingState,
)
from mainstay_server.kernel.pagination import Page, decode_cursor, page_of
from mainstay_server.kernel.problems import Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_default_instance, instances_of_project

from .choosing import Route, Verdict, fitting, judge
from .ground import read_ground, why_held


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What would become of an alert at one channel, which is known by its name."""

    name: str
    verdict: Verdict
    quiet: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What would become of an alert: the routes it takes, each channel, and what holds it back."""

    labels: Mapping[str, str]
    routes: Sequence[Route]
    hearings: Sequence[Hearing]
    held: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A group of which something waits, is held back, or stands."""

    group: AlertGroup
    channel: AlertChannel
    route: str
    waiting: int
    held: int
    stands: int
    ending: int
    reason: str


def explain(
    session: Session, project_id: str, labels: Mapping[str, str], *, now: datetime
) -> Explanation:
    """What would become of an alert with these labels, fired now.

    The labels that every alert has are filled in where they are left out; `environment` says which
    instance it is about.

    Raises:
        Invalid: a severity or an environment that is none.
        NotFound: the project has no instance yet.
    """
    filled = {"severity": Severity.CRITICAL.value, **labels}
    instance = _instance_of(session, project_id, filled)
    filled = {"project": instance.project_slug, "environment": instance.environment, **filled}
    try:
        severity = Severity(filled["severity"])
    except ValueError:
        raise Invalid(f"severity is one of {', '.join(Severity)}.") from None
    ground = read_ground(session, project_id)
    asked = Alert(
        id="",
        organization_id=instance.organization_id,
        project_id=project_id,
        instance_id=instance.id,
        type=filled.get("alertname", ""),
        labels=filled,
    )
    named = sa.select(AlertChannel.id, AlertChannel.name).where(
        AlertChannel.project_id == project_id
    )
    names = {row.id: row.name for row in session.execute(named)}
    return Explanation(
        labels=filled,
        routes=fitting(ground.routes, filled),
        hearings=[
            Hearing(name=names.get(each.ear.id, ""), verdict=each, quiet=each.quiet(now))
            for each in judge(filled, (instance.id, severity), ground.routes, ground.ears)
        ],
        held=why_held(session, ground, asked, now=now),
    )


def _instance_of(session: Session, project_id: str, labels: Mapping[str, str]) -> InstanceRef:
    """The instance that labels are about: that of their environment, or the project's first."""
    environment = labels.get("environment")
    if environment is None:
        default = find_default_instance(session, project_id)
        if default is None:
            raise NotFound("The project has no instance yet; add one, or send it something.")
        return default
    for instance in instances_of_project(session, project_id):
        if instance.environment == environment:
            return instance
    raise Invalid(f"The project has no instance of the environment {environment[:100]!r}.")


def reasons_of(session: Session, alert_ids: Sequence[str]) -> dict[str, str]:
    """Why a channel is not told yet, by the ids of alerts that are held back or wait somewhere."""
    rows = session.execute(
        sa.select(AlertTelling.alert_id, AlertTelling.state, AlertTelling.reason)
        .where(
            AlertTelling.alert_id.in_(alert_ids),
            AlertTelling.state.in_((TellingState.HELD, TellingState.WAITING)),
        )
        .order_by(AlertTelling.state.desc(), AlertTelling.id)
    )
    found = {}
    for alert_id, _, reason in rows:
        found[alert_id] = reason or "gathered for the next message of its group"
    return found


def list_waiting(
    session: Session, project_id: str, *, limit: int, cursor: str = ""
) -> Page[Waiting]:
    """The groups of a project with active alerts, the newest first. Raises `Invalid`."""
    counted = _counts(project_id)
    position = decode_cursor(cursor, parts=1)
    if position is not None:
        counted = counted.where(AlertGroup.id < str(position[0]))
    rows = session.execute(counted.order_by(AlertGroup.id.desc()).limit(limit + 1)).all()
    ids = [row.id for row in rows]
    groups = {
        group.id: (group, channel)
        for group, channel in session.execute(
            sa.select(AlertGroup, AlertChannel)
            .join(AlertChannel, AlertChannel.id == AlertGroup.channel_id)
            .where(AlertGroup.id.in_(ids))
        )
    }
    named = sa.select(AlertRoute.id, AlertRoute.name).where(AlertRoute.project_id == project_id)
    routes = {row.id: row.name for row in session.execute(named)}
    found = [
        Waiting(
            group=groups[row.id][0],
            channel=groups[row.id][1],
            route=routes.get(groups[row.id][0].route_id, ""),
            waiting=row.waiting,
            held=row.held,
            stands=row.stands,
            ending=row.ending,
            reason=row.reason or "",
        )
        for row in rows
    ]
    return page_of(found, limit=limit, key=lambda each: (each.group.id,))


def _counts(project_id: str) -> sa.Select[str, int, int, int, int, str]:
    """How many alerts of each group wait, are held back, stand, or wait for their end."""

    def number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    active = Alert.status == AlertStatus.ACTIVE
    return (
        sa.select(
            AlertGroup.id,
            number(AlertTelling.state == TellingState.WAITING).label("waiting"),
            number(AlertTelling.state == TellingState.HELD).label("held"),
            number(sa.and_(AlertTelling.state == TellingState.TOLD, active)).label("stands"),
            number(AlertTelling.ending == Ending.WAITING).label("ending"),
            sa.func.max(AlertTelling.reason).label("reason"),
        )
        .join(AlertTelling, AlertTelling.group_id == AlertGroup.id)
        .join(Alert, Alert.id == AlertTelling.alert_id)
        .where(
            AlertGroup.project_id == project_id,
            sa.or_(active, AlertTelling.ending == Ending.WAITING),
        )
        .group_by(AlertGroup.id)
    )
