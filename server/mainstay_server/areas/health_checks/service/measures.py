"""What health checks found as numbers that rules compare."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks import columns
from mainstay_server.areas.health_checks.models import HealthCheck, HealthState
from mainstay_server.kernel.measures import (
    MOST_PARTS,
    MOST_PARTS_REPLAYED,
    Measure,
    MeasureFamily,
    Past,
    PastQuestion,
    Reading,
)

RESPONSE = "health_checks.response_ms"
UPTIME = "health_checks.uptime"
FAILING = "health_checks.failing"
ALL = 100


def read(session: Session, *, since: datetime, until: datetime, by_part: bool) -> Sequence[Reading]:
    """Response times and the share of good answers of every check, or of the worst of each."""
    rows = columns.by_check(since=since, until=until)
    found: dict[str, list[Reading]] = {}
    ids = [row["health_check_id"] for row in rows]
    names = _names(session, ids) if by_part else {}
    for row in rows:
        check_id = row["health_check_id"]
        if by_part and check_id not in names:
            continue  # it was removed since
        reading = _reading(row["instance_id"], names.get(check_id, ""), row["checks"], row)
        found.setdefault(reading.instance_id, []).append(reading)
    if by_part:
        return [reading for readings in found.values() for reading in readings[:MOST_PARTS]]
    return [_worst(instance_id, readings) for instance_id, readings in found.items()]


def replay(session: Session, asked: PastQuestion) -> Past:
    """The same of one instance as it was at each minute of a span, of checks by today's names."""
    instance_id, by_part, part = asked.instance_id, asked.by_part, asked.part
    names = _names_in(session, instance_id)
    if part:
        names = {check_id: name for check_id, name in names.items() if name == part}
    found = columns.by_check_then(
        instance_id,
        list(names) if by_part else None,
        windows=asked.windows,
        most_checks=MOST_PARTS_REPLAYED if by_part else columns.MOST_CHECKS,
    )

    def at(moment: datetime) -> Sequence[Reading]:
        readings = [
            _reading(instance_id, names.get(row["part"], ""), row["total"], row)
            for row in found.rows.get(moment, ())
        ]
        return readings if by_part or not readings else [_worst(instance_id, readings)]

    return Past(since=found.since, has_more_parts=found.has_more_parts, at=at)


def read_states(
    session: Session, *, since: datetime, until: datetime, by_part: bool
) -> Sequence[Reading]:
    """How many checks of every watched instance are unhealthy now."""
    _ = since, until, by_part  # as it is now, of the whole instance
    failing = sa.func.sum(sa.case((HealthCheck.state == HealthState.UNHEALTHY, 1), else_=0))
    rows = session.execute(
        sa.select(HealthCheck.instance_id, failing, sa.func.count())
        .where(HealthCheck.paused.is_(False), HealthCheck.target != "")
        .group_by(HealthCheck.instance_id)
    )
    return [
        Reading(instance_id=instance_id, values={FAILING: float(bad)}, count=count)
        for instance_id, bad, count in rows
    ]


def _names(session: Session, check_ids: Sequence[str]) -> dict[str, str]:
    rows = session.execute(
        sa.select(HealthCheck.id, HealthCheck.name).where(HealthCheck.id.in_(check_ids))
    )
    return {check_id: name for check_id, name in rows}  # noqa: C416 - rows are no pairs


def _names_in(session: Session, instance_id: str) -> dict[str, str]:
    rows = session.execute(
        sa.select(HealthCheck.id, HealthCheck.name)
        .where(HealthCheck.instance_id == instance_id)
        .limit(columns.MOST_CHECKS)
    )
    return {check_id: name for check_id, name in rows}  # noqa: C416 - rows are no pairs


def _reading(instance_id: str, part: str, checks: int, row: Mapping[str, Any]) -> Reading:
    values = {UPTIME: ALL * (1 - row["failed"] / checks)}
    if checks > row["failed"]:
        values[RESPONSE] = row["average"]
    return Reading(instance_id=instance_id, values=values, part=part, count=checks)


def _worst(instance_id: str, readings: Sequence[Reading]) -> Reading:
    values = {UPTIME: min(reading.values[UPTIME] for reading in readings)}
    times = [reading.values[RESPONSE] for reading in readings if RESPONSE in reading.values]
    if times:
        values[RESPONSE] = max(times)
    return Reading(
        instance_id=instance_id,
        values=values,
        count=sum(reading.count for reading in readings),
    )


RESULTS = MeasureFamily(
    measures=(
        Measure(
            name=RESPONSE,
            title="Response time of health checks",
            unit="ms",
            description="The mean of what was answered; of several checks the slowest one's.",
        ),
        Measure(
            name=UPTIME,
            title="Good answers of health checks",
            unit="percent",
            description="The share of results that were not unhealthy; of several checks the"
            " worst one's.",
            worse="below",
        ),
    ),
    read=read,
    replay=replay,
    part="health check",
    counts="results",
)
STATES = MeasureFamily(
    measures=(
        Measure(
            name=FAILING,
            title="Failing health checks",
            unit="count",
            description="How many health checks of the instance are unhealthy now.",
        ),
    ),
    read=read_states,
    counts="health checks",
    windowed=False,
)
