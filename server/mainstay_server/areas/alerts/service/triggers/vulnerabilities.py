"""What scans for vulnerabilities say, as alerts: one for each scan that found something grave."""

from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.areas.alerts.models import AlertType, Severity
from mainstay_server.areas.alerts.service.firing import Firing, fire
from mainstay_server.areas.alerts.service.rules import rule_for
from mainstay_server.contracts.vulnerabilities import VulnerabilitiesFound
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.tenancy.subjects import find_instance

CRITICAL = "critical"
# The least score of each band of CVSS; what nobody rated is told of by a threshold of 0 alone.
FLOORS = {CRITICAL: 9.0, "high": 7.0, "medium": 4.0, "low": 0.1, "unknown": 0.0}


def record_found(session: Session, event: VulnerabilitiesFound, *, now: datetime) -> None:
    """Something grave is new: one alert for each scan, however much it found.

    The rule's threshold is a score of CVSS: bands that begin below it are not told of.
    """
    instance = find_instance(session, event.instance_id)
    if instance is None:
        return
    kind = AlertType.VULNERABILITY_FOUND
    threshold = rule_for(session, instance.project_id, instance.id, kind).threshold
    told = {
        band: event.by_severity[band]
        for band, floor in FLOORS.items()
        if floor >= threshold and event.by_severity.get(band)
    }
    if not told:
        return
    firing = Firing(
        type=kind,
        about=event.scan_id,
        title=_title(instance, told),
        message=_message(event),
        severity=Severity.CRITICAL if CRITICAL in told else None,
    )
    fire(session, instance, firing, now=now)


def _title(instance: InstanceRef, told: dict[str, int]) -> str:
    counts = ", ".join(f"{count:,} {band}" for band, count in told.items())
    noun = "vulnerability" if sum(told.values()) == 1 else "vulnerabilities"
    return f"{instance.project_slug} {instance.environment}: {counts} {noun} found"


def _message(event: VulnerabilitiesFound) -> str:
    release = f" of {event.release}" if event.release else ""
    back = f" {event.reopened:,} had been fixed and came back." if event.reopened else ""
    return (
        f"The scan by {event.source}{release} found {'; '.join(event.titles)}.{back}"
        " The page of the vulnerabilities lists them all."
    )
