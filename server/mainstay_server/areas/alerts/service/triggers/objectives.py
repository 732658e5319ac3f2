"""Error budgets that burn too fast, as alerts: one of each severity per objective."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve
from mainstay_server.contracts.objectives import ErrorBudgetBurning, ErrorBudgetCalm, is_burning
from mainstay_server.tenancy.subjects import find_instance

KIND = AlertType.ERROR_BUDGET_BURNING


def record_burning(session: Session, event: ErrorBudgetBurning, *, now: datetime) -> None:
    """A budget burns: as the rule says if somebody should be paged, a warning if it can wait.

    Trouble and calm are heard by different reactions, so that trouble may be heard after its end:
    whether it lasts is asked.
    """
    instance = find_instance(session, event.instance_id)
    over = is_burning.is_answered and not is_burning(session, event.objective_id, event.severity)
    if instance is None or over:
        return
    gone = (
        f" At this rate nothing is left at {event.exhausted_at:%Y-%m-%d %H:%M} UTC."
        if event.exhausted_at and event.budget_left > 0
        else ""
    )
    firing = Firing(
        type=KIND,
        about=_about(event),
        title=f"{instance.project_slug} {instance.environment}: {event.name} burns its budget",
        message=f"{event.burn:.1f} times as fast as {event.target_percent:g} % allows, over"
        f" {event.long_hours:g} h (the limit is {event.factor:g}). {event.budget_left:.1f} % of"
        f" the budget is left.{gone}",
        severity=Severity.WARNING if event.severity == "ticket" else None,
    )
    fire(session, instance, firing, now=now)


def record_calm(session: Session, event: ErrorBudgetCalm, *, now: datetime) -> None:
    """A budget does not burn too fast any more."""
    identity = identity_of(KIND, _about(event))
    text = f"It burns as slowly as it may; {event.budget_left:.1f} % of the budget is left."
    resolve(session, event.instance_id, identity, resolution=text, now=now)


def _about(event: ErrorBudgetBurning | ErrorBudgetCalm) -> str:
    return f"{event.objective_id}:{event.severity}"
