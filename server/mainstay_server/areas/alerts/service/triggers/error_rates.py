"""Requests that fail too often, as alerts that end when the share has been low for a while."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import Alert, AlertStatus, AlertType
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve
from mainstay_server.areas.alerts.service.rules import rules_for
from mainstay_server.contracts.requests import RequestCount
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance


def judge_error_rates(
    session: Session, counts: Mapping[int, Mapping[str, RequestCount]], *, now: datetime
) -> None:
    """Open or end the alerts of failing requests, from counts per window in seconds and instance.

    It opens when the share of errors is above the threshold, over at least the least number of
    requests. It ends when the share has been below for a whole window; that too few requests
    arrive to tell counts as below, since nobody sees an error then.
    """
    suspects = {
        instance_id
        for by_instance in counts.values()
        for instance_id, count in by_instance.items()
        if count.errors
    }
    identity = identity_of(AlertType.HIGH_ERROR_RATE)
    active = session.scalars(
        sa.select(Alert).where(Alert.identity == identity, Alert.status == AlertStatus.ACTIVE)
    ).all()
    by_instance = {alert.instance_id: alert for alert in active}
    for instance_id in sorted(suspects | set(by_instance)):
        instance = find_instance(session, instance_id)
        if instance is not None:
            _judge(session, instance, by_instance.get(instance_id), counts, now=now)


def _judge(
    session: Session,
    instance: InstanceRef,
    active: Alert | None,
    counts: Mapping[int, Mapping[str, RequestCount]],
    *,
    now: datetime,
) -> None:
    kind = AlertType.HIGH_ERROR_RATE
    rule = rules_for(session, instance.project_id, instance.id)[kind]
    count = counts.get(rule.window_seconds, {}).get(instance.id, RequestCount(total=0, errors=0))
    share = 100 * count.errors / count.total if count.total else 0.0
    window = f"{rule.window_seconds // 60} min"
    if rule.enabled and count.total >= rule.minimum_count and share > rule.threshold:
        firing = Firing(
            type=kind,
            title=f"{instance.project_slug} {instance.environment} answers with errors",
            message=f"{share:.1f} % of {count.total} requests failed in the last {window};"
            f" the limit is {rule.threshold:g} %.",
        )
        fire(session, instance, firing, now=now)
    elif active is not None and active.calm_since is None:
        active.calm_since = now
    elif active is not None and _has_lasted(active, rule.window_seconds, now=now):
        resolve(
            session,
            instance.id,
            identity_of(kind),
            resolution=f"At most {rule.threshold:g} % of requests failed for {window}.",
            now=now,
        )


def _has_lasted(alert: Alert, seconds: int, *, now: datetime) -> bool:
    return alert.calm_since is not None and now - alert.calm_since >= timedelta(seconds=seconds)
