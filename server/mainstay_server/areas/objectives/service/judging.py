"""Judging: how each objective stands, and saying what people should hear of it, once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.objectives.models import Objective, Period, Status
from mainstay_server.contracts.objectives import (
    ErrorBudgetBurning,
    ErrorBudgetCalm,
    ObjectiveStatusChanged,
)
from mainstay_server.kernel.events import say

from .burning import (
    DAY,
    RULES,
    SEVERITY_ORDER,
    Amount,
    Burn,
    Measured,
    Severity,
    budget_left,
    burn_rate,
    burning_after,
    burns,
    exhausted_at,
    severities,
    status_after,
)
from .measuring import measure, sum_up_hours
from .periods import Span, span_of

# A little less than the minute at which the job comes, which may come a moment early.
EVERY = timedelta(seconds=50)
MOST_AT_ONCE = 200
LONGEST_WINDOW = max(rule.long for rule in RULES)
SEVERITIES = SEVERITY_ORDER


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How an objective stands at a moment. `budget_left` is signed percent, None if unknown."""

    span: Span
    amount: Amount
    known_since: datetime | None
    budget_left: float | None
    burns: list[Burn]
    burn_of_day: float
    exhausted_at: datetime | None
    measured: Measured

    @property
    def achieved_percent(self) -> float | None:
        """The good share in percent, None if nothing was counted."""
        return 100 * (1 - self.amount.bad_share) if self.amount.total else None


class Told(TypedDict):
    """What every event about an objective carries."""

    organization_id: str
    project_id: str
    instance_id: str
    objective_id: str
    name: str
    target_percent: float
    budget_left: float


def due(session: Session, *, now: datetime) -> list[str]:
    """The ids of objectives whose turn it is, those that waited longest first; at most 200."""
    return list(
        session.scalars(
            sa.select(Objective.id)
            .where(sa.or_(Objective.judged_at.is_(None), Objective.judged_at <= now - EVERY))
            .order_by(Objective.judged_at.is_not(None), Objective.judged_at)
            .limit(MOST_AT_ONCE)
        )
    )


def judge_one(session: Session, objective_id: str, *, now: datetime) -> None:
    """Judge an objective, unless it was removed meanwhile."""
    objective = session.get(Objective, objective_id, with_for_update=True)
    if objective is not None:
        judge(session, objective, now=now)


def judge(session: Session, objective: Objective, *, now: datetime) -> Standing:
    """Look how an objective stands, keep it, and say what changed."""
    sum_up_hours(session, objective, now=now)
    standing = stand(session, objective, now=now)
    before = severities(objective.burning)
    objective.burning = burning_after(objective.burning, standing.burns, now=now)
    objective.budget_left, objective.judged_at = standing.budget_left, now
    after = severities(objective.burning)
    told = told_of(objective)
    for severity in SEVERITIES:
        if severity in after and severity not in before:
            _say_burning(session, objective, standing, severity, now=now)
        elif severity in before and severity not in after:
            say(session, ErrorBudgetCalm(**told, severity=severity), now=now)
    if standing.budget_left is not None:
        status = status_after(objective.status, standing.budget_left)
        if status != objective.status:
            changed = ObjectiveStatusChanged(**told, before=str(objective.status), after=status)
            say(session, changed, now=now)
            objective.status = Status(status)
    session.flush()
    return standing


def stand(session: Session, objective: Objective, *, now: datetime) -> Standing:
    """How an objective stands, without keeping or saying anything."""
    span = span_of(Period(objective.period), now=now)
    target = objective.target_percent
    since = min(span.since, now - LONGEST_WINDOW) - DAY  # so that a night without any is no gap
    measured = measure(session, objective, since=since, now=now)
    amount = measured.between(span.since, now)
    left = budget_left(amount, target) if amount.total else None
    burn = burn_rate(measured.between(now - DAY, now), target)
    return Standing(
        span=span,
        amount=amount,
        known_since=measured.known_since,
        budget_left=left,
        burns=burns(measured, target_percent=target, period=span.length, now=now),
        burn_of_day=burn,
        exhausted_at=None
        if left is None
        else exhausted_at(left, burn, period=span.length, ends_at=span.ends_at, now=now),
        measured=measured,
    )


def is_burning(session: Session, objective_id: str, severity: str) -> bool:
    """The answer to the port of this name."""
    objective = session.get(Objective, objective_id)
    return objective is not None and severity in severities(objective.burning)


def told_of(objective: Objective) -> Told:
    """The fields of an event about an objective."""
    return {
        "organization_id": objective.organization_id,
        "project_id": objective.project_id,
        "instance_id": objective.instance_id,
        "objective_id": objective.id,
        "name": objective.name,
        "target_percent": objective.target_percent,
        "budget_left": round(objective.budget_left or 0.0, 3),
    }


def _say_burning(
    session: Session,
    objective: Objective,
    standing: Standing,
    severity: Severity,
    *,
    now: datetime,
) -> None:
    worst = next(burn for burn in standing.burns if burn.rule.severity == severity and burn.fires)
    gone = exhausted_at(
        standing.budget_left or 0.0,
        worst.long,
        period=standing.span.length,
        ends_at=standing.span.ends_at,
        now=now,
    )
    say(
        session,
        ErrorBudgetBurning(
            **told_of(objective),
            severity=severity,
            long_hours=worst.rule.long.total_seconds() / 3600,
            burn=round(worst.long, 3),
            factor=round(worst.factor, 3),
            exhausted_at=gone,
        ),
        now=now,
    )
