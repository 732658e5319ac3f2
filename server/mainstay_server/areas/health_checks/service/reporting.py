"""What the results and spells amount to over a range: figures, newest results, uptime."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks import columns
from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.schemas.bodies import (
    HealthAnswer,
    HealthMetrics,
    RecentCheck,
    SpellAnswer,
    UptimeAnswer,
)
from mainstay_server.areas.health_checks.schemas.past import MonthAnswer, MonthsAnswer
from mainstay_server.kernel.watching import (
    Uptime,
    months_of,
    read_spells,
    uptime_of,
    uptime_over,
    windows_of,
)

from .checks import find_main_check, main_checks

SUMMARY_HOURS = 24


def health_of(session: Session, instance_id: str, *, hours: int, now: datetime) -> HealthAnswer:
    """REQUIREMENTS P9: figures over the last hours, and the 50 newest results whatever their age.

    Response times are over answered checks, or over the waits when nothing was answered. Uptime
    is by time and of the check that stands for the instance; the error rate is by results.
    """
    since = now - timedelta(hours=hours)
    return HealthAnswer(
        metrics=_metrics(session, instance_id, since=since, now=now),
        recent_checks=[
            RecentCheck(
                instance_id=instance_id,
                status=row["state"],
                response_time_ms=round(row["response_ms"], 2),
                timestamp=row["at"],
                error_message=row["error"],
            )
            for row in columns.ask_recent(instance_id)
        ],
    )


def uptime_answer(
    session: Session, check: HealthCheck, *, since: datetime, until: datetime, now: datetime
) -> UptimeAnswer:
    """Uptime and the spells of a check between two instants, cut to the check's life and to now."""
    since, until = max(since, check.created_at), min(until, now)
    spells = read_spells(session, [check], since=since, until=until, now=now)[check.id]
    found = uptime_over(session, check, since=since, until=until, now=now)
    span = (until - since - found.maintenance).total_seconds()
    return UptimeAnswer(
        health_check_id=check.id,
        since=since,
        until=until,
        uptime=found.percent,
        coverage=found.known.total_seconds() / span * 100 if span > 0 else 0.0,
        maintenance_seconds=found.maintenance.total_seconds(),
        seconds={state.value: time.total_seconds() for state, time in found.lasted.items()},
        intervals=[
            SpellAnswer(
                state=spell.state,
                started_at=spell.started_at,
                ended_at=spell.ended_at,
                ongoing=spell.ongoing,
                reason=spell.reason,
            )
            for spell in spells
        ],
    )


def months_answer(
    session: Session, check: HealthCheck, *, newest: int, now: datetime
) -> MonthsAnswer:
    """What the newest months of a check amounted to, this one first."""
    return MonthsAnswer(
        months=[
            MonthAnswer(
                month=f"{month.first:%Y-%m}",
                uptime=month.uptime.percent,
                coverage=month.uptime.coverage,
                maintenance_seconds=month.uptime.maintenance.total_seconds(),
                seconds={
                    state.value: span.total_seconds() for state, span in month.uptime.lasted.items()
                },
                frozen=month.frozen,
            )
            for month in months_of(session, check, newest=newest, now=now)
        ]
    )


def uptimes(
    session: Session, checks: Mapping[str, HealthCheck], *, since: datetime, now: datetime
) -> dict[str, Uptime]:
    """Uptime up to now of the check of each instance, by instance id."""
    spells = read_spells(session, list(checks.values()), since=since, until=now, now=now)
    return {
        instance_id: uptime_of(
            spells[check.id],
            since=since,
            until=now,
            without=windows_of(session, check, since=since, until=now),
        )
        for instance_id, check in checks.items()
    }


def summaries(
    session: Session, instance_ids: Sequence[str], *, now: datetime
) -> dict[str, dict[str, Any]]:
    """Health over the last 24 hours of each instance that has a check (REQUIREMENTS P12)."""
    since = now - timedelta(hours=SUMMARY_HOURS)
    checks = main_checks(session, instance_ids)
    lasted = uptimes(session, checks, since=since, now=now)
    rows = {
        row["instance_id"]: row
        for row in columns.ask_summaries(list(checks), since=since, until=now)
    }
    return {
        instance_id: {
            "status": check.state,
            "since": check.state_since,
            "uptime": lasted[instance_id].percent,
            **_counted(rows.get(instance_id)),
        }
        for instance_id, check in checks.items()
    }


def _counted(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"checks": 0, "errorRate": None, "avgResponseTime": None, "lastCheckAt": None}
    return {
        "checks": row["checks"],
        "errorRate": row["failed"] / row["checks"] * 100,
        "avgResponseTime": round(row["average"], 2) if row["answered"] else None,
        "lastCheckAt": row["last_at"],
    }


def _metrics(
    session: Session, instance_id: str, *, since: datetime, now: datetime
) -> HealthMetrics | None:
    row = columns.ask_metrics(instance_id, since=since, until=now)
    if not row["checks"]:
        return None
    check = find_main_check(session, instance_id)
    failed = row["failed"] / row["checks"] * 100
    percent = None
    if check is not None:
        percent = uptimes(session, {instance_id: check}, since=since, now=now)[instance_id].percent
    p95, p99 = row["highest"]
    return HealthMetrics(
        instance_id=instance_id,
        avg_response_time=round(row["average"], 2),
        p95_response_time=round(p95, 2),
        p99_response_time=round(p99, 2),
        error_rate=round(failed, 4),
        # Before any time was watched (the first result is of this moment), results speak.
        uptime=round(100 - failed if percent is None else percent, 4),
        last_check_at=row["last_at"],
    )
