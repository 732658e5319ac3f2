"""What the guard's areas say, as alerts: abuse of an API, and plans that are nearly used up."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.contracts.abuse import AbuseDetected, BanLifted
from mainstay_server.contracts.quotas import QuotaThresholdReached
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance, instances_of_organization

from .firing import Firing, fire, identity_of, resolve

STORAGE = "storage_bytes"
ALL = 100
DONE = {
    "banned": "It is kept out until {until:%Y-%m-%d %H:%M} UTC.",
    "simulated": "It would have been banned; the instance only simulates.",
    "spared": "It is never banned.",
    "told": "Nobody was banned: whose key it is has to look.",
}


def record_abuse(session: Session, event: AbuseDetected, *, now: datetime) -> None:
    """Somebody misbehaves: one alert for each address or key, as long as it is not over."""
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    done = DONE[event.action].format(until=event.until) if event.action in DONE else ""
    firing = Firing(
        type=AlertType.ABUSE_DETECTED,
        about=event.offender,
        title=f"{_place(instance)}: {event.rule.replace('_', ' ')} from {event.offender}",
        message=f"{event.evidence}. {done}".replace("..", "."),
    )
    fire(session, instance, firing, now=now)


def record_lifted_ban(session: Session, event: BanLifted, *, now: datetime) -> None:
    """Somebody let a network in again: the alert about it is over."""
    identity = identity_of(AlertType.ABUSE_DETECTED, event.network)
    resolve(session, event.instance_id, identity, resolution="The ban was lifted.", now=now)


def record_quota(session: Session, event: QuotaThresholdReached, *, now: datetime) -> None:
    """A plan is nearly used up: one alert for each subject and meter, critical at its end.

    What concerns the whole organization is told of at its first instance, or nobody would hear it.
    """
    instance = _instance_of(session, event)
    if instance is None:
        return
    whose = "The organization" if event.quota_subject == "organization" else event.quota_subject
    kind = AlertType.STORAGE_LIMIT if event.meter == STORAGE else AlertType.QUOTA_REACHED
    about = f"{event.quota_subject}:{event.meter}:{event.percent}"
    firing = Firing(
        type=kind,
        about=about,
        title=f"{_place(instance)}: {event.percent} % of {event.meter} are used up",
        message=(
            f"{whose} used {event.used:,} of {event.limit:,} {event.meter} of the plan"
            f" {event.plan}; the next period begins at {event.period_ends:%Y-%m-%d %H:%M} UTC."
        ),
        severity=Severity.CRITICAL if event.percent >= ALL else None,
    )
    fire(session, instance, firing, now=now)


def _instance_of(session: Session, event: QuotaThresholdReached) -> InstanceRef | None:
    if event.instance_id:
        return find_instance(session, event.instance_id)
    return next(iter(instances_of_organization(session, event.organization_id)), None)


def _place(instance: InstanceRef) -> str:
    return f"{instance.project_slug} {instance.environment}"
