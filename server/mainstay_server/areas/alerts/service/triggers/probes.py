"""Probes that are silent, as alerts that end when they are heard of again."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import ACTIVE, Alert, AlertType
from mainstay_server.areas.alerts.service.firing import Firing, fire, identity_of, resolve_each
from mainstay_server.contracts.health_checks import ProbeReturned, ProbeWentSilent
from mainstay_server.tenancy.subjects import find_instance


def record_silence(session: Session, event: ProbeWentSilent, *, now: datetime) -> None:
    """A probe is missed: no app is down, but nobody sees them from there."""
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    checks = "1 health check" if event.checks == 1 else f"{event.checks} health checks"
    firing = Firing(
        type=AlertType.PROBE_SILENT,
        about=event.probe_id,
        title=f"{instance.project_slug}: the probe in {event.location} is silent",
        message=(
            f"The probe {event.name} was last heard of at {event.since:%d %b %H:%M} UTC. What it"
            f" asks ({checks} of this project) is not seen from {event.location}; other places go"
            " on. Look whether `mainstay probe` runs there and reaches the server."
        ),
    )
    fire(session, instance, firing, now=now)


def record_return(session: Session, event: ProbeReturned, *, now: datetime) -> None:
    """It is heard of again, or was removed; whichever of its instances the alert is of."""
    alerts = session.scalars(
        sa.select(Alert.id).where(
            Alert.identity == identity_of(AlertType.PROBE_SILENT, event.probe_id),
            ACTIVE,
        )
    ).all()
    resolution = "The probe is heard of again, or was removed."
    resolve_each(session, list(alerts), resolution=resolution, quiet=False, now=now)
