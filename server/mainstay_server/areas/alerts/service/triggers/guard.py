"""What the guard's areas say, as alerts: abuse, plans nearly used up, limits that refuse."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, AlertType, Severity
from mainstay_server.areas.alerts.service.firing import (
    Firing,
    fire,
    identity_of,
    resolve,
    resolve_each,
)
from mainstay_server.areas.alerts.service.rules import rule_for
from mainstay_server.contracts.abuse import AbuseDetected, BanLifted
from mainstay_server.contracts.quotas import QuotaThresholdReached
from mainstay_server.contracts.rate_limits import RateLimitExceeded
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance, instances_of_organization

STORAGE = "storage_bytes"
ALL = 100
LIMIT_ALERTS_STAY = timedelta(minutes=30)
MOST_AT_ONCE = 1000
DONE = {
    "banned": "It is kept out until {until:%Y-%m-%d %H:%M} UTC.",
    "simulated": "It would have been banned; the instance only simulates.",
    "spared": "It is never banned.",
    "full": "It is not kept out: lift some bans, or ban wider networks.",
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


def record_exceeded(session: Session, event: RateLimitExceeded, *, now: datetime) -> None:
    """Limits refuse an address again and again: one alert of the instance, however many they are.

    Below the rule's threshold of refusals it is nothing that people need know.
    """
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    kind = AlertType.RATE_LIMIT_EXCEEDED
    if event.refused < rule_for(session, instance.project_id, instance.id, kind).threshold:
        return
    keys = f", with {len(event.key_ids)} API keys" if event.key_ids else ""
    firing = Firing(
        type=kind,
        title=f"{_place(instance)} refuses by its rate limits",
        message=f"{event.address} was refused {event.refused:,} times in ten minutes{keys}."
        " The security page lists everybody whom limits hold back.",
    )
    fire(session, instance, firing, now=now)


def settle_limits(session: Session, *, now: datetime) -> int:
    """End alerts of limits half an hour after the last word of them; returns how many."""
    identity = identity_of(AlertType.RATE_LIMIT_EXCEEDED)
    over = sa.select(Alert.id).where(
        Alert.identity == identity,
        Alert.status == AlertStatus.ACTIVE,
        Alert.last_seen_at <= now - LIMIT_ALERTS_STAY,
    )
    ids = list(session.scalars(over.limit(MOST_AT_ONCE)))
    text = "Limits refused nobody so often for half an hour."
    return resolve_each(session, ids, resolution=text, quiet=False, now=now)


def _instance_of(session: Session, event: QuotaThresholdReached) -> InstanceRef | None:
    if event.instance_id:
        return find_instance(session, event.instance_id)
    return next(iter(instances_of_organization(session, event.organization_id)), None)


def _place(instance: InstanceRef) -> str:
    return f"{instance.project_slug} {instance.environment}"
