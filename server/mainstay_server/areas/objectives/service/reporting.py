"""Reports: what a month of a project amounted to, and the gate that a pipeline asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.objectives.models import Kind, Objective, Source
from mainstay_server.kernel.subjects import Watched
from mainstay_server.kernel.watching import (
    State,
    Uptime,
    find_watched,
    list_watched,
    months_of,
    uptime_over,
)
from mainstay_server.tenancy.subjects import ProjectRef, instances_of_project

from .burning import Amount, budget_left, severities
from .judging import Standing
from .measuring import NOTHING, amount_of, measure
from .periods import bounds_of

MOST_REPORTED = 500
MOST_MONTHS = 1200


@dataclass(frozen=True, kw_only=True)
class WatchedLine:
    """Something watched in a month."""

    watched: Watched
    environment: str
    uptime: Uptime
    frozen: bool

    def seconds(self, state: State) -> float:
        """How long a state lasted."""
        return self.uptime.lasted[state].total_seconds()


@dataclass(frozen=True, kw_only=True)
class ObjectiveLine:
    """An objective in a month."""

    objective: Objective
    environment: str
    amount: Amount

    @property
    def achieved_percent(self) -> float | None:
        """The good share in percent."""
        return 100 * (1 - self.amount.bad_share) if self.amount.total else None

    @property
    def left_percent(self) -> float | None:
        """What is left of the month's budget, signed."""
        return (
            budget_left(self.amount, self.objective.target_percent) if self.amount.total else None
        )

    @property
    def is_met(self) -> bool | None:
        """Whether the target was kept; None where nothing was counted."""
        left = self.left_percent
        return None if left is None else left >= 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """A month of a project, up to now where it is not over."""

    project: ProjectRef
    month: date
    since: datetime
    until: datetime
    is_over: bool
    watched: Sequence[WatchedLine]
    objectives: Sequence[ObjectiveLine]


def report_of(
    session: Session,
    project: ProjectRef,
    month: date,
    *,
    instance_id: str = "",
    now: datetime,
) -> Report:
    """What a month amounted to, of a project or one of its instances.

    Uptime of a month that is over is as it was frozen; maintenance and time that nobody watched
    are in none of it. Objectives are counted over the calendar month, whatever their own period.
    """
    since, end = bounds_of(month)
    until = min(end, now)
    names = {each.id: each.environment for each in instances_of_project(session, project.id)}
    shown = {instance_id} if instance_id else set(names)
    objectives = session.scalars(
        sa.select(Objective)
        .where(Objective.project_id == project.id, Objective.instance_id.in_(shown))
        .order_by(Objective.name, Objective.id)
    ).all()
    return Report(
        project=project,
        month=month,
        since=since,
        until=until,
        is_over=end <= now,
        watched=[
            WatchedLine(
                watched=each,
                environment=names.get(each.instance_id, ""),
                uptime=uptime_over(session, each, since=since, until=until, now=now),
                frozen=_is_frozen(session, each, month, now=now),
            )
            for each in list_watched(session, project.id, limit=MOST_REPORTED)
            if each.instance_id in shown
        ],
        objectives=[
            ObjectiveLine(
                objective=each,
                environment=names.get(each.instance_id, ""),
                amount=_amount_of(session, each, since=since, until=until, now=now),
            )
            for each in objectives
        ],
    )


def gate_of(objective: Objective, standing: Standing) -> tuple[Literal["ok", "frozen"], str]:
    """Whether a risky change may go out, and why (not).

    Frozen once the budget is spent, and while it burns so fast that somebody is paged.
    """
    left = standing.budget_left
    if left is None:
        return "ok", "Nothing was counted yet, so nothing is spent."
    if left <= 0:
        return "frozen", f"The error budget is spent: {left:.1f} % is left. Mend before you ship."
    if "page" in severities(objective.burning):
        reason = f"The error budget burns fast; {left:.1f} % is left. Wait until it is calm."
        return "frozen", reason
    return "ok", f"{left:.1f} % of the error budget is left."


def _amount_of(
    session: Session, objective: Objective, *, since: datetime, until: datetime, now: datetime
) -> Amount:
    """What was counted; of what is watched, by months as they were frozen."""
    if objective.source != Source.WATCHED:
        return measure(session, objective, since=since, now=until).between(since, until)
    watched = find_watched(session, [objective.subject_id]).get(objective.subject_id)
    if watched is None:
        return NOTHING
    uptime = uptime_over(session, watched, since=since, until=until, now=now)
    return amount_of(uptime, Kind(objective.kind))


def _is_frozen(session: Session, watched: Watched, month: date, *, now: datetime) -> bool:
    if now < bounds_of(month)[1] + timedelta(days=1):
        return False
    found = months_of(session, watched, newest=MOST_MONTHS, now=now)
    return any(each.first == month and each.frozen for each in found)
