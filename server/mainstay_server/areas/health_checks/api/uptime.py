"""The past of a health check over HTTP: uptime over any range, months, corrections."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request
from sqlalchemy.orm import Session

from mainstay_server.areas.health_checks.schemas.bodies import UptimeAnswer
from mainstay_server.areas.health_checks.schemas.past import (
    CorrectionAnswer,
    CorrectionsAnswer,
    MonthsAnswer,
    NewCorrection,
)
from mainstay_server.areas.health_checks.service import checks, correcting, reporting
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE, page_within
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Cursor, Limit, Router, example
from mainstay_server.tenancy import access
from mainstay_server.tenancy.callers import Caller
from mainstay_server.tenancy.models import Role

router = Router(prefix="/api/instances/{instance_id}")
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
MOST_DAYS = 3_660
MOST_MONTHS = 120
_SECOND_DAY = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
NO_ZONE = "from and to need a time zone, such as a Z at their end."

_UPTIME = {
    "healthCheckId": "0193a0c2-7e57-7000-8000-000000000001",
    "from": "2026-11-20T09:42:00.000Z",
    "to": "2026-11-21T09:42:00.000Z",
    "uptime": 99.81,
    "coverage": 100.0,
    "maintenanceSeconds": 0.0,
    "seconds": {"healthy": 86236.0, "unhealthy": 164.0},
    "intervals": [
        {
            "state": "unhealthy",
            "startedAt": "2026-11-21T03:04:01.123Z",
            "endedAt": "2026-11-21T03:06:45.123Z",
            "ongoing": False,
            "reason": "answered 503",
        }
    ],
}
_MONTHS = {
    "months": [
        {
            "month": "2026-10",
            "uptime": 99.95,
            "coverage": 99.9,
            "maintenanceSeconds": 7200.0,
            "seconds": {"healthy": 2667000.0, "unhealthy": 1334.0, "unknown": 2866.0},
            "frozen": True,
        }
    ]
}
_CORRECTION = {
    "id": "0193a0c2-7e57-7000-8000-000000000009",
    "healthCheckId": "0193a0c2-7e57-7000-8000-000000000001",
    "state": "healthy",
    "from": "2026-11-20T09:42:00.000Z",
    "to": "2026-11-20T09:50:00.000Z",
    "reason": "A firewall of ours kept the probe out; customers were served.",
    "by": "Alice",
    "at": "2026-11-21T09:42:00.000Z",
    "before": [
        {
            "state": "unhealthy",
            "startedAt": "2026-11-20T09:42:00.000Z",
            "endedAt": "2026-11-20T09:50:00.000Z",
            "reason": "connection refused",
        }
    ],
}


@router.get(
    "/uptime",
    summary="Uptime of an instance",
    operation_id="get_instance_uptime",
    responses=example(_UPTIME),
)
def get_uptime(
    session: Session,
    instance: Viewed,
    since: Annotated[
        datetime | None, Query(alias="from", description="Default: a day ago.")
    ] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Default: now.")] = None,
    check_id: Annotated[str, Query(alias="healthCheckId", description="Default: its own.")] = "",
) -> UptimeAnswer:
    """Uptime by time, not by results, with the spells it comes from; any range up to ten years.

    Maintenance, pauses and time in which nothing could be known are left out of it.
    """
    now = utc_now()
    until = until or now
    if until.tzinfo is None or (since is not None and since.tzinfo is None):
        raise Invalid(NO_ZONE)
    since = since or max(until, _SECOND_DAY) - timedelta(days=1)
    if not timedelta() < until - since <= timedelta(days=MOST_DAYS):
        raise Invalid(f"from must be before to, by at most {MOST_DAYS} days.")
    main = checks.find_main_check(session, instance.id) if not check_id else None
    check = main or checks.get_check(session, instance.id, check_id)
    return reporting.uptime_answer(session, check, since=since, until=until, now=now)


@router.get(
    "/health-checks/{check_id}/months",
    summary="Months of a health check",
    operation_id="list_health_check_months",
    responses=example(_MONTHS),
)
def list_months(
    session: Session,
    instance: Viewed,
    check_id: str,
    newest: Annotated[int, Query(ge=1, le=MOST_MONTHS, description="How many months.")] = 12,
) -> MonthsAnswer:
    """What each month (UTC) amounted to, newest first; those that are over are frozen."""
    check = checks.get_check(session, instance.id, check_id)
    return reporting.months_answer(session, check, newest=newest, now=utc_now())


@router.get(
    "/health-checks/{check_id}/corrections",
    summary="List corrections of a health check",
    operation_id="list_health_check_corrections",
    responses=example({"corrections": [_CORRECTION], "nextCursor": "eyJrIjoiMDE5MyJ9"}),
)
def list_corrections(
    session: Session,
    instance: Viewed,
    check_id: str,
    limit: Limit = DEFAULT_PER_PAGE,
    cursor: Cursor = "",
) -> CorrectionsAnswer:
    """What people said of its past, newest first, with what had been recorded."""
    check = checks.get_check(session, instance.id, check_id)
    page = page_within(
        correcting.list_of(session, check),
        limit=limit,
        cursor=cursor,
        key=correcting.sort_key,
    )
    return CorrectionsAnswer(
        corrections=[correcting.answer_of(one) for one in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/health-checks/{check_id}/corrections",
    status_code=201,
    summary="Correct the past of a health check",
    operation_id="correct_health_check",
    responses=example(_CORRECTION, 201),
)
def add_correction(
    session: Session,
    request: Request,
    instance: Administered,
    check_id: str,
    said: NewCorrection,
) -> CorrectionAnswer:
    """Say what a past range really was, and why. Uptime and frozen months are added up anew.

    Nobody is told of trouble or recovery in the past, and how the check is now stays.
    """
    caller: Caller = request.state.caller
    check = checks.get_check(session, instance.id, check_id)
    by = caller.person_name or "an access token"
    correction = correcting.correct_past(session, check, said, by=by, now=utc_now())
    return correcting.answer_of(correction)
