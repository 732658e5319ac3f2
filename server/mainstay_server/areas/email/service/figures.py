"""What a report tells: gathered from whoever knows it, by ports, before any mail is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mainstay_server.contracts.alerts import AlertsOver, alerts_over
from mainstay_server.contracts.requests import EndpointFigures, slowest_endpoints
from mainstay_server.contracts.scorecard import OpenFinding, open_findings
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.watching import Uptime, list_watched, uptime_over
from mainstay_server.tenancy.subjects import instances_of_organization

MOST_ALERTS = 10
MOST_WATCHED = 500
MOST_SHOWN = 8
MOST_INSTANCES = 50


@dataclass(frozen=True, kw_only=True)
class WatchedFigures:
    """The uptime of one health check or heartbeat."""

    project_name: str
    name: str
    percent: float


@dataclass(frozen=True, kw_only=True)
class SlowEndpoint:
    """One of the slowest endpoints, with where it is."""

    place: str
    path: str
    p95_ms: float
    requests: int


@dataclass(frozen=True, kw_only=True)
class FindingOf:
    """One thing that is left to do, with where."""

    place: str
    finding: OpenFinding


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All that a report tells; what nobody knows is None or empty."""

    alerts: AlertsOver | None
    uptime_percent: float | None
    watched: int
    lowest: Sequence[WatchedFigures]
    slowest: Sequence[SlowEndpoint]
    findings: Sequence[FindingOf]
    findings_count: int


def gather(
    session: Session, organization_id: str, *, since: datetime, until: datetime, now: datetime
) -> Figures:
    """The figures of an organization over a span of time, and what is left to do now.

    At most 50 instances and 500 health checks and heartbeats are looked at. A store that is away
    hides its own figures, and not the report.
    """
    instances = list(instances_of_organization(session, organization_id, limit=MOST_INSTANCES))
    whole, lowest = _uptimes(session, instances, since=since, until=until, now=now)
    findings = _findings(session, instances, now=now)
    alerts = None
    if alerts_over.is_answered:
        alerts = alerts_over(session, organization_id, since=since, until=until, limit=MOST_ALERTS)
    return Figures(
        alerts=alerts,
        uptime_percent=whole,
        watched=len(lowest),
        lowest=[each for each in lowest if each.percent < 100][:MOST_SHOWN],  # noqa: PLR2004 - percent
        slowest=_slowest(instances, since=since, until=until),
        findings=findings[:MOST_SHOWN],
        findings_count=len(findings),
    )


def _uptimes(
    session: Session,
    instances: Sequence[InstanceRef],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> tuple[float | None, list[WatchedFigures]]:
    """The uptime of all together, and of each, the lowest first; of the unknown nothing is told."""
    names = {instance.project_id: instance.project_name for instance in instances}
    found: list[WatchedFigures] = []
    whole: Uptime | None = None
    for project_id, project_name in names.items():
        for watched in list_watched(session, project_id, limit=MOST_WATCHED - len(found)):
            uptime = uptime_over(session, watched, since=since, until=until, now=now)
            if uptime.percent is None:
                continue
            whole = uptime if whole is None else whole + uptime
            found.append(
                WatchedFigures(project_name=project_name, name=watched.name, percent=uptime.percent)
            )
        if len(found) >= MOST_WATCHED:
            break
    found.sort(key=lambda each: (each.percent, each.project_name, each.name))
    return (whole.percent if whole else None), found


def _slowest(
    instances: Sequence[InstanceRef], *, since: datetime, until: datetime
) -> Sequence[SlowEndpoint]:
    if not slowest_endpoints.is_answered:
        return ()
    places = {instance.id: _place(instance) for instance in instances}
    try:
        found: Sequence[EndpointFigures] = slowest_endpoints(
            list(places), since=since, until=until, limit=MOST_SHOWN
        )
    except Problem:  # the column store is away; the rest of the report is worth having
        return ()
    return [
        SlowEndpoint(
            place=places[each.instance_id],
            path=each.path,
            p95_ms=each.p95_ms,
            requests=each.requests,
        )
        for each in found
    ]


def _findings(
    session: Session, instances: Sequence[InstanceRef], *, now: datetime
) -> list[FindingOf]:
    if not open_findings.is_answered:
        return []
    found = [
        FindingOf(place=_place(instance), finding=finding)
        for instance in instances
        for finding in open_findings(session, instance, now=now)
    ]
    return sorted(found, key=lambda each: not each.finding.blocks)


def _place(instance: InstanceRef) -> str:
    return f"{instance.project_name}, {instance.environment}"
