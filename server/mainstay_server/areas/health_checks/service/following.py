"""The check that follows its instance, when it is needed before the word of the instance came."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.contracts.tenancy import InstanceChanged
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.service.environments import health_url
from mainstay_server.tenancy.service.instances import get_instance

from .checks import follow_instance


def follow_now(session: Session, instance: InstanceRef, *, now: datetime) -> HealthCheck:
    """The check that follows an instance, made in this transaction when it is not there yet.

    What the instance says of itself is heard after the commit, and then changes nothing. Raises
    `Invalid` when it has no URL.
    """
    found = _find(session, instance.id)
    if found is not None:
        return found
    row = get_instance(session, instance.id)
    asked = health_url(row.url, row.health_path)
    if not asked:
        raise Invalid.of_field(
            "followsInstance",
            "followsInstance has no URL to follow; give the instance one under instances",
        )
    event = InstanceChanged(
        **instance.ids,
        environment=row.environment,
        health_url=asked,
        interval_seconds=row.interval_seconds,
        timeout_seconds=row.timeout_seconds,
        degraded_after_ms=row.degraded_after_ms,
    )
    follow_instance(session, event, now=now)
    made = _find(session, instance.id)
    assert made is not None, "it has a URL, so it was made"
    return made


def _find(session: Session, instance_id: str) -> HealthCheck | None:
    return session.scalar(sa.select(HealthCheck).where(HealthCheck.default_of == instance_id))
